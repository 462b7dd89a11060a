"""Bridges to the frameworks that models are written in.

One folder is one framework; ``spaces`` is what all of them need of Gymnasium's. No environment is stepped here.
"""

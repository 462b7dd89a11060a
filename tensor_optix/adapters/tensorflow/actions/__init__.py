"""Kinds of action space: how outputs become actions, and how likely they were.

Samplers, densities, greedy layers. Nothing here knows a loss or an algorithm.
"""

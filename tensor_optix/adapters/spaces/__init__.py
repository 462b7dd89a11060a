"""Gymnasium's spaces, as models of any framework need them.

The parts of a nested observation, which observations are images, spaces as JSON. Nothing here imports a framework.
"""

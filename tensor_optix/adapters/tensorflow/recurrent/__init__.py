"""Policies that remember: a model's states, how they run through a window, and how PPO learns with them.

What recognises such a model is in ``models/memory_models.py``, and its cells in NumPy are in ``acting/numpy``.
"""

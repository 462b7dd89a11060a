"""Kinds of action: one file is one kind, and ``table.py`` lists those that policy gradients serve.

A file holds how outputs become actions (NumPy), how likely those were (TensorFlow), and the greedy layer of an
export (Keras). Nothing here knows a loss or an algorithm.
"""

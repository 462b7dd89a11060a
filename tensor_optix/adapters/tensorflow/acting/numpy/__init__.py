"""A Keras model as a program of NumPy calls, checked against the model when it is built.

One file a family of layers. Nothing here imports what learns.
"""

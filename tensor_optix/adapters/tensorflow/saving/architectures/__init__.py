"""Keras models and optimizers from their saved configuration, built by lists of what a file may ask for.

``rebuild`` is the entrance. ``allowed``, ``arguments`` and ``operations`` are the lists, ``rules`` says
what a plain value may be; ``reader``, ``models``, ``call_arguments`` and ``custom`` read by them.
"""

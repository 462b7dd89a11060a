"""Keras models and optimizers from their saved configuration, built by lists of what a file may ask for.

``rebuild`` is the entrance. ``allowed`` lists classes and operations, ``rules`` what their arguments may be;
``reader``, ``models`` and ``call_arguments`` read by them. Nothing of a file reaches Keras's own deserialiser.
"""

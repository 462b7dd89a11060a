"""An agent as data, and back, without trusting it.

State, configurations of models and optimizers that are safe to read (``architectures``), what a file may ask for
(``demands``) and what it ``costs``, what is told beforehand, export. No file is touched here: see ``core.storage``.
"""

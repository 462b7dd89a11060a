"""An agent as data, and back, without trusting it.

State, configurations of models and optimizers that are safe to read (``architectures``), what a file may ask for
(``demands``), what is told beforehand, export. Nothing here touches the files themselves: that is ``core.storage``.
"""

"""Updates from a window.

Reading windows, losses, value functions, optimizers, reward scales, that more than one agent uses. What makes one
algorithm special is in ``algorithms``.
"""

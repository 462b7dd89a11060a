"""What the command settles for its process before TensorFlow is loaded: threads, and a cache of what XLA compiles.

Nothing here takes the place of what the user has set.
"""

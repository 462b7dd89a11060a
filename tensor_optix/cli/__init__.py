"""The `tensor-optix` command: a file for each of its commands, and what they share.

Nothing is done here that could not be done in Python; what a file of a stranger's names is never used unasked.
"""

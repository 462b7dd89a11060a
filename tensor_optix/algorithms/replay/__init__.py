"""What off-policy algorithms remember.

The ring, its chunks, priorities. Nothing here knows a loss.
"""

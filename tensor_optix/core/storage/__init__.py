"""What lies on disk and how it gets there whole.

Formats, atomic files, the run folder, snapshots, history, checkpoints. Nothing here decides anything: no score is
weighed and no state of the loop is changed.
"""

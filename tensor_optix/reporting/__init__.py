"""Ready-made callbacks and pictures: what a run looks like while it runs and afterwards.

They are told what happens and read what lies on disk; nothing here decides anything, or changes a run.
"""

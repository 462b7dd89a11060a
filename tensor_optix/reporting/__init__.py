"""Ready-made callbacks and pictures: what a run looks like while it runs and afterwards."""

"""Runs held against each other: which belong together, and what their figures are."""

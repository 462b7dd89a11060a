"""Detectors: fed one score at a time, they answer one question each."""

"""Bridges to the frameworks that models are written in."""

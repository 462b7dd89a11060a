"""Environments: the only place that steps one.

Guards, autoreset, barriers, windows, whole episodes. Nothing here learns or knows an agent beyond a function that acts.
"""

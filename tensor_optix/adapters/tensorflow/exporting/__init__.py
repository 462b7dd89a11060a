"""A policy taken away: written in a format of another runtime, read back by that runtime, held against the agent.

Here: formats, the check, what it is checked on. Never: how a policy becomes one Keras model (``saving.policy_export``).
"""

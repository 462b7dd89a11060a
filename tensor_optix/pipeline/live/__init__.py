"""Feeds: threads, queues, actions that reach the world, rewards that find their action.

Whatever a feed may do to us is met here. Nothing here learns or scores.
"""

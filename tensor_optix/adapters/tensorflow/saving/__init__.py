"""An agent as data, and back.

State, configurations that are safe to read, spaces as JSON, export. Nothing here touches the files themselves: that is
``core.storage``.
"""

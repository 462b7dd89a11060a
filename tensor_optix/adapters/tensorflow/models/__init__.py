"""Networks: good ones where none is given, and checks of the user's own.

Default networks, fit checks, the observation normaliser. Nothing here acts or learns.
"""

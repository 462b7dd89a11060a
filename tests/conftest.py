"""What holds for the whole suite."""

from hypothesis import settings

# A shared machine may take a second over what takes a millisecond: time is tested where it is promised.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")

"""What holds for the whole suite."""

import signal

from hypothesis import settings

# A shared machine may take a second over what takes a millisecond: time is tested where it is promised.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")

# A shell's background job ignores Ctrl-C, and so would every child of these tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

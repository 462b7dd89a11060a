"""What holds for the whole suite."""

import signal

import pytest
from hypothesis import settings

# A shared machine may take a second over what takes a millisecond: time is tested where it is promised.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")

# A shell's background job ignores Ctrl-C, and so would every child of these tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def save_at_every_barrier(monkeypatch):
    """Whatever the clock says: for tests of what is saved."""
    from tensor_optix.core.loop.run_checkpoint import RunCheckpoint

    monkeypatch.setattr(RunCheckpoint, "save_if_due", RunCheckpoint.save)

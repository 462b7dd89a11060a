"""What holds for the whole suite."""

import os
import signal
import sys

import pytest
from hypothesis import settings

# A shared machine may take a second over what takes a millisecond: time is tested where it is promised.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")

# A shell's background job ignores Ctrl-C, and so would every child of these tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def caches_of_this_session(tmp_path_factory):
    """Keep what commands compile out of the user's own cache; all workers of a session share it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder / "caches"))
        yield


@pytest.fixture(autouse=True)
def small_updates_are_not_compiled(request, monkeypatch):
    """Compiling PPO's update takes seconds: tests of that ask for ``jit_compile=True``, slow ones do as users."""
    ppo = sys.modules.get("tensor_optix.algorithms.ppo")
    if ppo is not None and request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(ppo, "pays_to_compile", lambda *_: False)


@pytest.fixture
def save_at_every_barrier(monkeypatch):
    """Whatever the clock says: for tests of what is saved."""
    from tensor_optix.core.loop.run_checkpoint import RunCheckpoint

    monkeypatch.setattr(RunCheckpoint, "save_if_due", RunCheckpoint.save)

"""Which part knows which: every part with a state is in a checkpoint, and whoever asks for something is served."""

import pytest
from loop_fakes import Learner, make_playing_loop

from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.core.storage.stateful import WithState


@pytest.fixture
def scene(tmp_path):
    """A loop with a folder that has run, and the document of its newest checkpoint."""
    with RunFolder.create(tmp_path / "runs") as folder:
        loop, _, _ = make_playing_loop(tmp_path, Learner(), barrier_every=5, max_episodes=12, run_folder=folder)
        loop.run()
        document, _ = CheckpointSlots(folder.path).read()
        yield loop, document


def test_every_part_with_a_state_is_saved(scene):
    loop, document = scene
    with_state = {name for name, part in vars(loop.parts).items() if isinstance(part, WithState)}
    assert len(with_state) >= 10
    assert with_state - set(document["parts"]) == set()
    assert set(document["parts"]) >= {"scheduler", "recorder"}
    assert document["incumbent"]["snapshot_id"] <= loop.best_snapshot.snapshot_id, "saved apart, with its weights"


def test_the_order_of_what_needs_a_free_environment(scene):
    loop, _ = scene
    names = [activity.name for activity in loop.parts.agenda.activities]
    assert names == ["diagnosis", "target", "comparison", "challenge", "assessment", "settlement", "trial"]


def test_parts_that_share_something_share_the_same(scene):
    parts = scene[0].parts
    for part in (parts.succession, parts.alarm, parts.trial, parts.shortfall):
        assert part.judge is parts.judge
        assert part.incumbent is parts.incumbent

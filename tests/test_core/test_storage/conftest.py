"""What the tests of a run's files share."""

import pytest
from storage_fakes import StemAgent, save_all, save_one

from tensor_optix.core.checkpoint_registry import CheckpointRegistry


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    """A run's folder with four snapshots, the last of an agent with six methods."""
    root = tmp_path_factory.mktemp("whole")
    registry = CheckpointRegistry(root)
    save_all(registry, [1.0, 3.0, 2.0])
    save_one(registry, 0.5, cls=StemAgent)
    return root

import pytest
from logged_runs import make_optimizer

from tensor_optix import LoopCallback
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError
from tensor_optix.reporting.named_callbacks import NAMED_CALLBACKS, callback_named, with_named
from tensor_optix.reporting.progress import Progress


def test_names_and_objects_go_together(tmp_path):
    class Mine(LoopCallback):
        num_windows = 0

        def on_episode_end(self, episode_id, eval_metrics):
            self.num_windows += 1

    mine = Mine()
    optimizer = make_optimizer(tmp_path, ["csv", mine, "monitor"], max_env_steps=None, max_episodes=3)
    optimizer.run()
    assert mine.num_windows == 3
    assert {"progress.csv", "0.monitor.csv"} <= {path.name for path in optimizer.run_dir.iterdir()}


def test_arguments_go_to_the_class():
    assert isinstance(callback_named("progress", line_seconds=2.0), Progress)
    assert "csv" in NAMED_CALLBACKS


def test_an_unknown_name_names_the_nearest(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"no callback named 'moniter'. Did you mean 'monitor'.*progress, "):
        make_optimizer(tmp_path, ["moniter"])


def test_a_name_that_is_in_no_list_is_refused(tmp_path):
    with pytest.raises(InvalidTypeError, match="must be a list of callbacks"):
        make_optimizer(tmp_path, "monitor")
    assert with_named(None) is None

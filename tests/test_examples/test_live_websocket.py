"""The websocket example: a real server process, a real line that is cut, a real learner."""

import importlib.util
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("live_websocket", ROOT / "examples" / "live_websocket.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    yield
    sys.setswitchinterval(interval)
    assert not [thread for thread in threading.enumerate() if thread.name == "tensor-optix-feed"]


def test_the_feed_pairs_over_the_wire(example):
    """Without a learner: what the server shows is what CartPole does with the actions sent."""
    with example.server_process(speed=2.0, num_cuts=0, seconds_between_cuts=60.0) as uri:
        feed = example.CartPoleFeed(uri)
        stream = feed.stream()
        item, on_time = next(stream), 0
        for step in range(40):
            before, action = np.array(item[0]), step % 2
            if not (item[2] or item[3]):
                feed.send_action(action)
            ended = item[2] or item[3]
            item = next(stream)
            if ended or item[4]["is_late"]:
                continue
            on_time += 1
            # Pushed to the right, the cart gains speed to the right; to the left, to the left.
            assert (item[0][1] > before[1]) == (action == 1)
            assert item[1] == 1.0
        stream.close()
    assert on_time > 0
    assert len(feed.latencies_seconds) > 0


def test_it_learns_on_while_the_connection_is_cut_ten_times(example, tmp_path, capsys):
    with example.server_process(speed=20.0, num_cuts=10, seconds_between_cuts=0.4) as uri:
        report = example.learn_from(uri, seconds=10.0, seed=0, checkpoint_dir=str(tmp_path))
    print(report)
    assert report.reconnects == 10
    assert report.result.reason in ("stopped", "target")
    assert report.result.windows > 5
    assert np.median(report.latencies_seconds) < 0.05
    assert "p99" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_learns_the_task_though_the_connection_is_cut_ten_times(example, tmp_path):
    with example.server_process(speed=20.0, num_cuts=10, seconds_between_cuts=0.8) as uri:
        report = example.learn_from(uri, seconds=300.0, seed=0, checkpoint_dir=str(tmp_path))
    print(report)
    assert report.reconnects == 10
    assert report.result.confirmed_mean >= 475.0

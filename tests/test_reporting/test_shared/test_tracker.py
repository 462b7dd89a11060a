import json

from logged_runs import crashed_and_resumed, make_optimizer

from tensor_optix.reporting.shared.tracker import TrackerLogger

STORE = {}


class Store(TrackerLogger):
    """A tracker that outlives the process; kept in a dict."""

    def __init__(self):
        super().__init__("store", 0.0)

    def begin(self, run, identity):
        identity = identity or f"id-{len(STORE)}"
        self.rows = STORE.setdefault(identity, [])
        return identity

    def send(self, env_steps, values):
        self.rows.append((env_steps, values["rollout/ep_len_mean"]))


def steps(identity):
    return [env_steps for env_steps, _ in STORE[identity]]


def test_a_resumed_run_goes_on_in_the_trackers_run_and_doubles_nothing(tmp_path, save_at_every_barrier):
    STORE.clear()
    make_optimizer(tmp_path / "whole", [Store()]).run()
    crashed_and_resumed(tmp_path / "crashed", lambda: [Store()])
    assert list(STORE) == ["id-0", "id-1"]
    assert steps("id-1") == steps("id-0")
    assert len(set(steps("id-1"))) == len(steps("id-1")) > 20


def test_another_run_is_another_run_of_the_tracker(tmp_path):
    STORE.clear()
    for _ in range(2):
        make_optimizer(tmp_path, [Store()], max_env_steps=None, max_episodes=3).run()
    assert [steps(identity) for identity in STORE] == [[100, 200, 300]] * 2


def test_a_second_run_goes_on(tmp_path):
    STORE.clear()
    optimizer = make_optimizer(tmp_path, [Store()], max_env_steps=None, max_episodes=2)
    optimizer.run()
    optimizer.run()
    assert [steps(identity) for identity in STORE] == [[100, 200, 300, 400]]
    assert json.loads((optimizer.run_dir / "store.json").read_text()) == {"identity": "id-0", "env_steps": 400}


def test_a_damaged_bookmark_is_said_and_the_run_goes_on(tmp_path, caplog):
    STORE.clear()
    optimizer = make_optimizer(tmp_path, [Store()], max_env_steps=None, max_episodes=2)
    optimizer.run()
    (optimizer.run_dir / "store.json").write_text("{")
    assert optimizer.run().windows == 4
    assert "store.json is damaged" in caplog.text

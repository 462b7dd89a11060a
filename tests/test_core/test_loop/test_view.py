import pytest
from logged_runs import RowKeeper, crashed_and_resumed, make_optimizer
from loop_fakes import make_loop

from tensor_optix import LoopCallback, LoopState
from tensor_optix.testing.fakes import PlayablePipeline, RecordingCallback


class Looking(RecordingCallback):
    """Notes the hooks that only some callbacks have, and reads the run in each of them."""

    def on_run_start(self, run):
        self.run, self.seen = run, []
        self.events.append(("on_run_start", ()))

    def on_window(self, row, window):
        self.events.append(("on_window", (row, window)))
        self.seen.append((self.run.windows, self.run.env_steps["training"], self.run.share_used, self.run.state))

    def on_greedy_episodes(self, use, num_episodes):
        self.events.append(("on_greedy_episodes", (use, num_episodes)))


def test_the_hooks_come_in_order(tmp_path):
    looking = Looking()
    make_loop(tmp_path, [3.0, 6.0], callbacks=[looking])[0].run()
    names = [name for name in looking.names() if name != "on_improvement"]
    window = ["on_window", "on_episode_end"]
    end = ["on_run_end", "on_loop_stop"]
    assert names == ["on_run_start", "on_loop_start", *window, *window, *end]


def test_a_window_comes_with_its_row(tmp_path):
    looking = Looking()
    result = make_loop(tmp_path, [3.0, float("nan"), 6.0], callbacks=[looking])[0].run()
    rows = [row for row, _ in looking.arguments("on_window")]
    assert [row["score"] for row in rows] == [3.0, None, 6.0] == result.history["score"]
    assert [window.episode_id for _, window in looking.arguments("on_window")] == [0, 1, 2]
    with pytest.raises(TypeError):
        rows[0]["score"] = 4.0


def test_the_run_is_read_as_it_is_now(tmp_path):
    looking = Looking()
    optimizer = make_optimizer(tmp_path, [looking], max_env_steps=None, max_episodes=4)
    result = optimizer.run()
    assert looking.seen == [(i, 100 * i, i / 4, LoopState.ACTIVE) for i in (1, 2, 3, 4)]
    run = looking.run
    assert run.run_dir == optimizer.run_dir
    assert run.seed == 0
    assert run.environment["env_id"] == "CartPole-v1"
    assert run.budget == "4 windows"
    assert run.champion is result.champion
    assert run.seconds == result.seconds > 0
    assert run.seconds_before == result.seconds
    assert run.history == result.history
    assert (run.looks.without_gain, run.looks.to_cooling, run.looks.to_dormant) == (0, 5, 20)
    assert not run.is_resumed
    assert run.environment_state == {}
    assert run.cause is None


def test_greedy_episodes_are_announced_with_what_they_are_for(tmp_path):
    looking = Looking()
    pipeline = PlayablePipeline([3.0, 6.0, 9.0], lambda: 5.0)
    make_loop(tmp_path, pipeline, callbacks=[looking], report_episodes=40)[0].run()
    assert looking.arguments("on_greedy_episodes")[-1] == ("report", 40)
    assert len(looking.run.champion_returns) == 40


def test_a_resumed_run_says_from_where(tmp_path, save_at_every_barrier):
    keeper = RowKeeper()
    seen = []

    class Beginning(LoopCallback):
        def on_loop_start(self):
            run = keeper.run
            seen.append(
                (run.is_resumed, run.windows, run.seed, run.seconds_before > 0, len(run.history["score"] or []))
            )

        def on_run_start(self, run):
            keeper.run = run

    class Lenient(Beginning):
        def on_loop_start(self):
            if keeper.run.is_resumed:
                super().on_loop_start()

    crashed_and_resumed(tmp_path, lambda: [Lenient()])
    assert seen == [(True, 15, 0, True, 15)]


def test_what_is_published_is_news_once():
    from tensor_optix.core.loop.view import LiveView

    view = LiveView(*[None] * 9)
    assert view.news(0) == (0, {})
    view.publish(**{"eval/mean_reward": 3})
    number, values = view.news(0)
    assert values == {"eval/mean_reward": 3.0}
    assert view.news(number) == (number, {})
    view.publish(loss=1.0)
    assert view.news(number) == (2, {"loss": 1.0})


def test_a_note_is_among_the_results(tmp_path):
    class Noting(LoopCallback):
        def on_run_start(self, run):
            run.note("the moon was full")

    assert "the moon was full" in make_loop(tmp_path, [1.0], callbacks=[Noting()])[0].run().notes


def test_the_cause_of_an_alarm_can_be_read(tmp_path):
    looking = Looking()
    pipeline = PlayablePipeline(lambda i: (100.0 if i < 60 else 5.0) + i % 3, lambda: 100.0, barrier_every=5)
    loop, recorder = make_loop(tmp_path, pipeline, callbacks=[looking], max_episodes=100)
    loop.run()
    assert recorder.count("on_degradation") >= 1
    assert looking.run.cause in ("policy damaged", "world changed", "false alarm")

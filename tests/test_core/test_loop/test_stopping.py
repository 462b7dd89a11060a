"""Every way in which a run ends, and what is said of it."""

import threading

import pytest
from loop_fakes import make_loop

from tensor_optix import CheckpointRegistry, LoopCallback
from tensor_optix.testing.fakes import ScriptedPipeline, StatefulAgent


def test_max_episodes_counts_windows_yielded(tmp_path):
    pipeline = ScriptedPipeline(lambda k: float(k))
    agent = StatefulAgent()
    loop, _ = make_loop(tmp_path, pipeline, agent, max_episodes=7)
    result = loop.run()
    assert result.windows == 7
    assert agent.learned_windows == list(range(7))
    assert pipeline.num_windows <= 7
    assert result.reason == "budget"
    assert "max_episodes=7" in result.explanation
    assert pipeline.num_teardowns == 1


def test_max_env_steps_is_not_exceeded(tmp_path):
    loop, _ = make_loop(tmp_path, ScriptedPipeline(lambda k: float(k)), max_env_steps=9)
    result = loop.run()
    assert result.env_steps["training"] == 9
    assert "max_env_steps=9" in result.explanation


def test_stop_from_another_thread_ends_after_the_current_window(tmp_path):
    started = threading.Event()

    class Signal(LoopCallback):
        def on_episode_end(self, episode_id, eval_metrics):
            started.set()

    loop, recorder = make_loop(tmp_path, ScriptedPipeline(lambda k: 1.0 + k), callbacks=[Signal()])
    results = []
    thread = threading.Thread(target=lambda: results.append(loop.run()))
    thread.start()
    assert started.wait(10)
    loop.stop()
    thread.join(10)
    assert results[0].reason == "stopped"
    assert recorder.count("on_loop_stop") == 1


def test_the_end_of_the_stream_ends_the_run(tmp_path):
    loop, _ = make_loop(tmp_path, [1.0, 2.0])
    result = loop.run()
    assert (result.reason, result.windows) == ("stopped", 2)
    assert "stream ended" in result.explanation


def test_an_error_keeps_what_was_saved_and_closes_everything(tmp_path):
    agent = StatefulAgent()
    pipeline = ScriptedPipeline(lambda k: 5.0)

    def broken(window):
        raise RuntimeError("disk on fire")

    agent.learn = broken
    loop, recorder = make_loop(tmp_path, pipeline, agent)
    with pytest.raises(RuntimeError, match="disk on fire"):
        loop.run()
    assert loop.last_result.reason == "error"
    assert "disk on fire" in loop.last_result.explanation
    assert loop.last_result.champion is not None
    assert recorder.count("on_loop_stop") == 1
    assert pipeline.num_teardowns == 1
    assert CheckpointRegistry(str(tmp_path / "run")).best is not None

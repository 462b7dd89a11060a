"""The process's settings while an environment is stepped or a feed is open, and after."""

import gc
import sys

import gymnasium as gym
import pytest
from live_fakes import EchoFeed, PolicyAgent, take

from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.live_pipeline import LivePipeline
from tensor_optix.pipeline.process_settings import SWITCH_SECONDS, PromptInterpreter, SettledObjects
from tensor_optix.testing.fakes import SixMethodAgent


@pytest.fixture(autouse=True)
def _settings():
    interval = sys.getswitchinterval()
    gc.unfreeze()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(interval)
    gc.unfreeze()


def settings():
    return sys.getswitchinterval() <= 1.01 * SWITCH_SECONDS, gc.get_freeze_count() > 0


def test_they_hold_while_a_feed_is_open():
    pipeline = LivePipeline(EchoFeed(endless_episode=True), PolicyAgent(), LivePipeline.every_n_steps(5))
    assert settings() == (False, False)
    take(pipeline, 2)
    assert settings() == (True, True)
    take(pipeline, 2)
    pipeline.teardown()
    pipeline.teardown()
    assert settings() == (False, False)
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_the_last_of_two_feeds_brings_them_back():
    interpreter = PromptInterpreter()
    interpreter.begin()
    interpreter.begin()
    interpreter.end()
    assert settings() == (True, True)
    interpreter.end()
    assert settings() == (False, False)


def test_what_others_chose_stays():
    sys.setswitchinterval(1e-6)
    gc.freeze()
    interpreter = PromptInterpreter()
    interpreter.begin()
    assert sys.getswitchinterval() == pytest.approx(1e-6)
    interpreter.end()
    assert sys.getswitchinterval() == pytest.approx(1e-6)
    assert gc.get_freeze_count() > 0


def test_a_process_that_collects_no_garbage_is_left_alone():
    gc.disable()
    try:
        interpreter = PromptInterpreter()
        interpreter.begin()
        assert gc.get_freeze_count() == 0
        interpreter.end()
    finally:
        gc.enable()


def test_what_exists_is_spared_while_windows_are_drawn():
    pipeline = BatchPipeline(gym.make("CartPole-v1"), SixMethodAgent(), window_size=5, seed=0)
    windows = pipeline.episodes()
    assert gc.get_freeze_count() == 0
    next(windows)
    assert settings() == (False, True)
    windows.close()
    pipeline.teardown()
    assert gc.get_freeze_count() == 0


def test_the_last_of_two_users_gives_back_what_was_spared():
    objects = SettledObjects()
    with objects:
        with objects:
            assert gc.get_freeze_count() > 0
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0

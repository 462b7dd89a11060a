"""The table of algorithms: what may be put in, who reads it, and what it says no to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import keras
import numpy as np
import pytest

from tensor_optix import DQNAgent, PPOAgent, TFAgent, load_agent, make_agent, make_pipeline
from tensor_optix.algorithms import register, unregister
from tensor_optix.algorithms.registry import registered
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, UnsafeFileError, UnsupportedSpaceError
from tensor_optix.presets import known_algorithms


class Careful(PPOAgent):
    """PPO with an argument of its own."""

    def __init__(self, *args: Any, patience: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patience = patience


class Plain(TFAgent):
    """A policy gradient with an argument of its own."""

    def __init__(self, *args: Any, patience: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patience = patience


SERVED = {"serves": ["Discrete"], "num_envs": 3, "window_steps": 60}


@pytest.fixture(autouse=True)
def forgotten_afterwards() -> Iterator[None]:
    before = set(registered())
    yield
    for name in set(registered()) - before:
        unregister(name)


class TestOneOfYours:
    @pytest.mark.parametrize("agent_class", [Careful, Plain])
    def test_it_is_made_fed_and_loaded_like_those_that_were_there(self, agent_class: Any, tmp_path: Path) -> None:
        register("mine", agent_class, **SERVED)
        assert known_algorithms()[-1] == "mine"
        agent = make_agent("CartPole-v1", "mine", patience=3, hidden_units=(4,), gamma=0.9, seed=0)
        assert type(agent) is agent_class
        assert agent.patience == 3
        assert agent.get_hyperparams().params["gamma"] == 0.9
        for pipeline in (make_pipeline("CartPole-v1", agent), make_pipeline("CartPole-v1", algorithm="mine")):
            assert pipeline.env.num_envs == 3
            assert pipeline.window_size == 20
        agent.save_weights(str(tmp_path / "saved"))
        loaded = load_agent(tmp_path / "saved")
        assert type(loaded) is agent_class
        assert loaded.patience == 3
        for observation in np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32):
            assert loaded.act_greedy(observation) == agent.act_greedy(observation)

    def test_a_setting_that_is_none_is_refused_with_those_that_are(self) -> None:
        register("mine", Careful, **SERVED)
        with pytest.raises(InvalidArgumentError, match=r"Unknown setting 'patienc'. Did you mean 'patience'"):
            make_agent("CartPole-v1", "mine", patienc=3)

    def test_once_unregistered_it_is_asked_for_again(self, tmp_path: Path) -> None:
        register("mine", Careful, **SERVED)
        make_agent("CartPole-v1", "mine", hidden_units=(4,)).save_weights(str(tmp_path / "saved"))
        unregister("mine")
        with pytest.raises(UnsafeFileError, match=r"custom_objects=\{'Careful': \.\.\.\}.*algorithms\.register"):
            load_agent(tmp_path / "saved")
        with pytest.raises(InvalidArgumentError, match="`algorithm` must be one of auto, ppo"):
            make_agent("CartPole-v1", "mine")

    def test_nothing_is_asked_for_beforehand_where_it_is_registered(self) -> None:
        agent = Careful(hidden_units=(4,))
        agent.bind(gym.spaces.Box(-1.0, 1.0, (3,)), gym.spaces.Discrete(2), seed=0)
        assert "custom_objects" in agent.caveats()[0]
        register("mine", Careful, **SERVED)
        register("mine_too", Careful, **SERVED)
        assert agent.caveats() == []
        unregister("mine")
        assert agent.caveats() == []
        unregister("mine_too")
        assert "custom_objects" in agent.caveats()[0]

    def test_auto_and_other_actions_stay_as_they_were(self) -> None:
        register("mine", Careful, **SERVED)
        assert type(make_agent("CartPole-v1", hidden_units=(4,))) is PPOAgent
        with pytest.raises(UnsupportedSpaceError, match="'mine' cannot serve actions of Box"):
            make_agent("Pendulum-v1", "mine")

    @pytest.mark.parametrize("serves", ["Discrete", gym.spaces.Discrete, ("Discrete",), iter(["Box", "Discrete"])])
    def test_spaces_are_named_or_given_as_classes(self, serves: Any) -> None:
        register("mine", Careful, serves=serves, num_envs=1, window_steps=8)
        assert "Discrete" in registered()["mine"].serves


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "error", "message"),
        [
            ("ppo", InvalidArgumentError, "The name 'ppo' is taken: by .*PPOAgent. Choose another one.$"),
            ("auto", InvalidArgumentError, "The name 'auto' is taken: it stands for the first one"),
            ("", InvalidArgumentError, "must be a word of at most 100 characters"),
            ("my:ppo", InvalidArgumentError, "must be a word .* without spaces, commas and colons.*'my:ppo'"),
            (7, InvalidTypeError, "`name` must be a text, the name of the algorithm. Received: 7 of type int"),
        ],
    )
    def test_a_name_that_cannot_be_had(self, name: Any, error: type, message: str) -> None:
        with pytest.raises(error, match=message):
            register(name, Careful, **SERVED)
        assert Careful not in [algorithm.registered_class for algorithm in registered().values()]

    def test_a_name_of_yours_that_is_taken_says_how_it_gets_free(self) -> None:
        register("mine", Careful, **SERVED)
        with pytest.raises(InvalidArgumentError, match=r"taken: by .*:Careful.*or call unregister\('mine'\) first"):
            register("mine", Plain, **SERVED)

    @pytest.mark.parametrize(
        ("agent_class", "message"),
        [
            (dict, "must be a class derived from TFAgent .*<class 'dict'>"),
            (keras.layers.Dense, "must be a class derived from TFAgent"),
            ("PPOAgent", "must be a class derived from TFAgent .*'PPOAgent' of type str"),
        ],
    )
    def test_what_is_no_class_of_agents(self, agent_class: Any, message: str) -> None:
        with pytest.raises(InvalidTypeError, match=message):
            register("mine", agent_class, **SERVED)

    def test_an_agent_instead_of_its_class(self) -> None:
        with pytest.raises(InvalidTypeError, match=r"Give the class itself: Careful\."):
            register("mine", Careful(hidden_units=(4,)), **SERVED)

    def test_a_class_of_a_name_that_saved_agents_have(self) -> None:
        other = type("DQNAgent", (DQNAgent,), {})
        with pytest.raises(InvalidArgumentError, match="A class named 'DQNAgent' is registered already, as 'dqn'"):
            register("mine", other, **SERVED)

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"serves": ["Discreet"]}, InvalidArgumentError, "`serves` must be a list .* Did you mean 'Discrete'"),
            ({"serves": [dict]}, InvalidArgumentError, "`serves` must be a list of kinds of action spaces: Discrete,"),
            ({"serves": []}, InvalidArgumentError, "`serves` must be a list"),
            ({"serves": 3}, InvalidTypeError, "`serves` must be a list .* Received: 3 of type int"),
            ({"num_envs": 0}, InvalidArgumentError, "`num_envs` must be an integer >= 1"),
            ({"window_steps": 2.5}, InvalidTypeError, "`window_steps` must be an integer >= 1"),
        ],
    )
    def test_what_it_serves_and_how_it_is_fed(self, changes: dict[str, Any], error: type, message: str) -> None:
        with pytest.raises(error, match=message):
            register("mine", Careful, **{**SERVED, **changes})

    @pytest.mark.parametrize("name", ["ppo", "min"])
    def test_only_yours_can_be_unregistered(self, name: str) -> None:
        register("mine", Careful, **SERVED)
        with pytest.raises(InvalidArgumentError, match=r"Only an algorithm of yours .*Registered are: mine\."):
            unregister(name)


class TestNamedByItsModule:
    @pytest.fixture(autouse=True)
    def in_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [*sys.path])
        yield
        sys.modules.pop("inventions", None)

    def test_the_module_is_imported_and_registers_it(self) -> None:
        Path("inventions.py").write_text(
            "from tensor_optix.algorithms import PPOAgent, register\n"
            "class Invention(PPOAgent): pass\n"
            "register('invention', Invention, serves=['Discrete'], num_envs=2, window_steps=32)\n",
            encoding="utf-8",
        )
        assert type(make_agent("CartPole-v1", "inventions:invention", hidden_units=(4,))).__name__ == "Invention"
        assert make_pipeline("CartPole-v1", algorithm="inventions:invention").window_size == 16
        with pytest.raises(InvalidArgumentError, match=r"'inventions' registers no algorithm 'another'.*register\("):
            make_agent("CartPole-v1", "inventions:another")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("inventions:invention", "'inventions' of 'inventions:invention' cannot be imported: No module named"),
            ("../inventions:invention", "named like 'module:name'"),
            ("inventions:", "named like 'module:name'"),
        ],
    )
    def test_no_such_module(self, name: str, message: str) -> None:
        with pytest.raises(InvalidArgumentError, match=message):
            make_agent("CartPole-v1", name)


def test_knowing_the_algorithms_costs_no_tensorflow() -> None:
    code = (
        "import sys; from tensor_optix.presets import known_algorithms; assert 'sac' in known_algorithms();"
        "sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

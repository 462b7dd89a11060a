"""Settings by name: what they may be, and what comes on top of what."""

from __future__ import annotations

from typing import Any

import pytest

from tensor_optix.cli.plan import TrainingPlan
from tensor_optix.cli.settings.config import FIELDS
from tensor_optix.cli.settings.setting_names import CHECKS, check_settings, from_pairs, laid_on, together
from tensor_optix.exceptions import InvalidArgumentError, TensorOptixError

GOOD: dict[str, Any] = {
    "env": "CartPole-v1",
    "env_kwargs": {"size": 3},
    "wrappers": ["a:b"],
    "algorithm": "ppo",
    "seed": 2**70,
    "num_envs": 4096,
    "window_size": 3,
    "max_env_steps": 5,
    "max_windows": None,
    "target_score": -3.5,
    "rollback": True,
    "evaluation_env": None,
    "evaluation_env_kwargs": {},
    "callbacks": ["csv", "monitor"],
    "checkpoint_dir": "runs",
    "agent": {"hidden_units": (3, 3), "gamma": 0.9},
}
BAD: dict[str, list[Any]] = {
    "env": [None, 3, ["x"]],
    "env_kwargs": ["x", [1], None],
    "wrappers": ["a:b", [3], 3],
    "algorithm": [3, None],
    "seed": [-1, 1.5, "3", True],
    "num_envs": [0, 4097, 2.0, "4"],
    "window_size": [0, 10_000_001, "x"],
    "max_env_steps": [0, 2**63, True],
    "max_windows": [-1, "x"],
    "target_score": ["x", float("nan"), True],
    "rollback": [None, 1, "yes"],
    "evaluation_env": [3, []],
    "evaluation_env_kwargs": ["x", None],
    "callbacks": ["csv", ["tensorbord"], ["csv", "csv"], [3]],
    "checkpoint_dir": [3, None],
    "agent": [3, {"x": {"y": 1}}, {"x": [[1]]}, {"x": float("inf")}],
}


def test_every_field_of_a_plan_has_a_name_and_a_check() -> None:
    fields = {FIELDS.get(name, name) for name in CHECKS}
    assert fields == set(TrainingPlan.__dataclass_fields__)
    assert set(GOOD) == set(BAD) == set(CHECKS)


def test_what_is_right_is_taken() -> None:
    check_settings(GOOD, "a.toml")


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_what_is_wrong_is_told_with_its_name_and_its_file(name: str, value: Any) -> None:
    with pytest.raises(TensorOptixError, match=f"^a.toml: `{name}`"):
        check_settings({name: value}, "a.toml")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"a setting 'num_env', which there is not\. Did you mean 'num_envs'"
    ):
        check_settings({"num_env": 3}, "a.toml")


def test_pairs_are_settings_of_the_run_or_of_the_agent() -> None:
    pairs = {"num-envs": 3, "gamma": 0.9, "env_kwargs.size": 7, "agent.seed": 5, "seed": 4}
    assert from_pairs(pairs) == {
        "num_envs": 3,
        "agent": {"gamma": 0.9, "seed": 5},
        "env_kwargs": {"size": 7},
        "seed": 4,
    }


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"num_envs": "x"}, "--set: `num_envs` must be"),
        ({"env_kwargs": 3, "env_kwargs.size": 3}, "gives 'env_kwargs' as a whole"),
        ({"gamma": 1, "agent.gamma": 2}, "gives 'gamma' twice"),
    ],
)
def test_pairs_that_cannot_be(pairs: dict[str, Any], message: str) -> None:
    with pytest.raises(TensorOptixError, match=message):
        from_pairs(pairs)


def test_options_and_pairs_weigh_the_same() -> None:
    named = {"seed": None, "num_envs": 3, "agent": {"learning_rate": 1.0}}
    pairs = {"seed": 4, "agent": {"gamma": 0.5}}
    assert together(named, pairs) == {"seed": 4, "num_envs": 3, "agent": {"learning_rate": 1.0, "gamma": 0.5}}
    for twice in ({"num_envs": 3}, {"agent": {"learning_rate": 2.0}}):
        with pytest.raises(InvalidArgumentError, match="is given twice: behind --set and as --"):
            together(named, twice)


def test_what_is_on_top_replaces_and_tables_are_merged() -> None:
    below = {"env": "CartPole-v1", "seed": 1, "agent": {"gamma": 0.9, "x": 1}, "env_kwargs": {"size": 3}}
    above = {"seed": 2, "agent": {"gamma": 0.5}, "env": "module:CartPole-v1"}
    assert laid_on(below, above) == {
        "env": "module:CartPole-v1",
        "seed": 2,
        "agent": {"gamma": 0.5, "x": 1},
        "env_kwargs": {"size": 3},
    }


def test_another_environment_does_not_get_the_first_one_s_arguments_and_wrappers() -> None:
    below = {"env": "CartPole-v1", "env_kwargs": {"size": 3}, "wrappers": ["a:b"]}
    below |= {"evaluation_env": "Maze-v0", "evaluation_env_kwargs": {"size": 3}}
    assert laid_on(below, {"env": "Acrobot-v1"}) == {
        "env": "Acrobot-v1",
        "evaluation_env": "Maze-v0",
        "evaluation_env_kwargs": {"size": 3},
    }
    assert "evaluation_env_kwargs" not in laid_on(below, {"evaluation_env": "Acrobot-v1"})

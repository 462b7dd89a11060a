"""The table of hyperparameters: what is checked, what is filled in, what may be tuned."""

import pytest

from tensor_optix.adapters.tensorflow import tf_agent
from tensor_optix.adapters.tensorflow.hyperparameters import (
    Setting,
    bounds_of,
    checked,
    count,
    discount,
    in_force,
    rate,
    share,
    smaller_steps,
)
from tensor_optix.algorithms import dqn, ppo, sac
from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError

KNOWN = {
    "learning_rate": rate(1e-3),
    "gamma": discount(0.99),
    "kl_target": Setting(0.03, None, {"low": 0.0}, can_be_off=True),
    "interval": count(5),
    "start": share(0.5),
    "alpha": Setting(None, None, {"above": 0.0}),
}
DEFAULTS = {"learning_rate": 1e-3, "gamma": 0.99, "kl_target": 0.03, "interval": 5, "start": 0.5}


def given(**params):
    return HyperparamSet(params, episode_id=7)


def test_defaults_stand_for_what_is_not_given():
    first = given(gamma=0.9, kl_target=None, alpha=None)
    known = checked(first, KNOWN, "Mine")
    assert known.params == {**DEFAULTS, "gamma": 0.9, "kl_target": None, "alpha": None}
    assert known.episode_id == 7
    assert first.params == {"gamma": 0.9, "kl_target": None, "alpha": None}, "what was given is left alone"


def test_where_others_are_kept_nothing_is_filled_in():
    known = checked(given(mine="x", gamma=0.5), KNOWN, "Mine", keeps_others=True)
    assert known.params == {"mine": "x", "gamma": 0.5}
    assert in_force(known.params, KNOWN) == {**DEFAULTS, "mine": "x", "gamma": 0.5}


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"gama": 0.9}, InvalidArgumentError, "Mine has no hyperparameter 'gama'. Did you mean 'gamma'"),
        ({"learning_rate": 0.0}, InvalidArgumentError, r"params\['learning_rate'\]"),
        ({"learning_rate": None}, InvalidTypeError, r"params\['learning_rate'\]"),
        ({"gamma": 1.5}, InvalidArgumentError, r"params\['gamma'\]"),
        ({"start": -0.1}, InvalidArgumentError, r"params\['start'\]"),
        ({"interval": 2.5}, InvalidTypeError, r"params\['interval'\]"),
        ({"interval": 0}, InvalidArgumentError, r"params\['interval'\]"),
        ({"alpha": float("nan")}, InvalidArgumentError, r"params\['alpha'\]"),
    ],
)
def test_what_cannot_be_used_is_named(params, error, message):
    with pytest.raises(error, match=message):
        checked(given(**params), KNOWN, "Mine")


def test_what_a_subclass_reads_is_finite():
    with pytest.raises(InvalidArgumentError, match=r"params\['mine'\]"):
        checked(given(mine=float("inf")), KNOWN, "Mine", keeps_others=True)


def test_only_what_has_bounds_may_be_tuned():
    assert bounds_of(KNOWN) == {
        "learning_rate": ParamSpec(1e-5, 1e-2, scale="log"),
        "gamma": ParamSpec(0.9, 0.9999, scale="one_minus_log"),
    }


def test_smaller_steps_are_a_third():
    trial = smaller_steps(given(learning_rate=0.3), {**KNOWN, "entropy_coef": Setting(0.1)})
    assert trial.params == {
        "learning_rate": pytest.approx(0.1),
        "kl_target": pytest.approx(0.01),
        "entropy_coef": 0.0,
    }
    assert smaller_steps(given(learning_rate=0.3), {"learning_rate": rate(1.0)}).params == {
        "learning_rate": pytest.approx(0.1)
    }


@pytest.mark.parametrize(
    ("known", "name", "most"),
    [
        (tf_agent.SETTINGS, "num_epochs", 10_000),
        (ppo.SETTINGS, "num_epochs", 10_000),
        (dqn.SETTINGS, "gradient_steps", 10_000),
        (sac.SETTINGS, "gradient_steps", 10_000),
        (dqn.SETTINGS, "epsilon_decay_steps", 2**31 - 1),
    ],
)
def test_nothing_is_repeated_without_end(known, name, most):
    checked(HyperparamSet({name: most}, 0), known, "it")
    for value in (most + 1, 2**62, 10**400):
        with pytest.raises(InvalidArgumentError, match=f"{name}.* and <= {most}"):
            checked(HyperparamSet({name: value}, 0), known, "it")

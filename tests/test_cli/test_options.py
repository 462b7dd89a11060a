"""How commands name an environment."""

from __future__ import annotations

import pytest

from tensor_optix.cli.options import typed_environment
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.pipeline.environment_names import EnvironmentName


def test_arguments_are_read_and_wrappers_keep_their_order() -> None:
    wrappers = ["gymnasium.wrappers:RecordEpisodeStatistics", "gymnasium.wrappers:NormalizeObservation"]
    typed = typed_environment("CartPole-v1", ["sutton_barto_reward=true"], wrappers)
    assert typed.alone() == EnvironmentName("CartPole-v1", {"sutton_barto_reward": True}, tuple(wrappers))
    assert not typed.is_trusted


def test_nothing_typed_is_nothing() -> None:
    typed = typed_environment(None, None, None, True)
    assert (typed.env_id, dict(typed.kwargs), typed.wrappers, typed.is_trusted) == (None, {}, (), True)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [(["size"], "--env-kwargs takes key=value, for example --env-kwargs size=7"), (["a=1", "a=2"], "gives 'a' twice")],
)
def test_what_is_no_pair_is_told_with_its_option(pairs: list[str], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        typed_environment("CartPole-v1", pairs, None)

"""The state of a detector says whose it is."""

from __future__ import annotations

import pytest

from tensor_optix.exceptions import CheckpointError, StateMismatchError
from tensor_optix.monitoring.detector import Detector


class Highest(Detector):
    _SAVED_AS = "Highest", 2
    _STATE = ("_highest", "_scores")

    def __init__(self) -> None:
        self._highest = 0.0
        self._scores: list[float] = []


def test_kind_and_version_stand_in_the_state() -> None:
    one, other = Highest(), Highest()
    one._highest, one._scores = 3.0, [1.0, 3.0]
    state = one.state_dict()
    assert state == {"kind": "Highest", "version": 2, "highest": 3.0, "scores": [1.0, 3.0]}
    other.load_state_dict(state)
    assert other.state_dict() == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Lowest"}, "Expected the state of a Highest. Received: 'Lowest'"),
        ({"version": 1}, r"reads states of version 2\. Received: version 1"),
        ({"highest": "three"}, "'three', where a number was expected"),
    ],
)
def test_another_state_is_refused_and_changes_nothing(change: dict, message: str) -> None:
    detector = Highest()
    with pytest.raises((StateMismatchError, CheckpointError), match=message):
        detector.load_state_dict({"kind": "Highest", "version": 2, "highest": 3.0, "scores": [3.0], **change})
    assert detector.state_dict() == Highest().state_dict()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(StateMismatchError, match=r"not whole\. Missing: \['scores'\]"):
        Highest().load_state_dict({"kind": "Highest", "version": 2, "highest": 3.0})
    with pytest.raises(StateMismatchError, match="Received: 'list'"):
        Highest().load_state_dict([])  # type: ignore[arg-type]

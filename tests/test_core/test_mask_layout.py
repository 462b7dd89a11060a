"""How masks lie side by side, what is wrong with one, and who takes them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from tensor_optix.core.mask_layout import MaskLayout, takes_masks
from tensor_optix.core.protocols import completed
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError

ONE, THREE = MaskLayout((4,)), MaskLayout((3, 2, 2))
GIVEN = [np.array([1, 0, 1, 0], np.int8), [True, False, True, False], np.array([1.0, 0, 1, 0])]


@pytest.mark.parametrize(
    "given", [np.array([1, 0, 1, 0], np.int8), [True, False, True, False], np.array([1.0, 0, 1, 0])]
)
def test_flags_of_any_type_become_bool(given: Any) -> None:
    mask = ONE.checked(given)
    assert mask.dtype == np.bool_
    assert mask.tolist() == [True, False, True, False]


def test_flags_that_are_bool_are_not_copied() -> None:
    mask = np.array([True, False, True, True])
    assert ONE.checked(mask) is mask


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ([1, 0, 1], InvalidArgumentError, r"shape \(3,\) was given where \(4,\).* each of 4 actions"),
        ([[1, 0, 1, 0]], InvalidArgumentError, r"shape \(1, 4\)"),
        ([1, 0, 2, 0], InvalidArgumentError, "must hold 0 and 1"),
        ([1, 0, np.nan, 0], InvalidArgumentError, "must hold 0 and 1"),
        ([0.5, 0, 1, 0], InvalidArgumentError, "not probabilities"),
        ("1010", InvalidTypeError, "array of bool.*'1010' of type str"),
        ([1, [0, 1]], InvalidTypeError, "array of bool"),
        (np.zeros(4, bool), InvalidArgumentError, "allows none of 4 actions"),
    ],
)
def test_what_is_wrong_with_a_mask_is_told(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        ONE.checked(given)


def test_each_choice_needs_an_option() -> None:
    assert THREE.checked([1, 0, 0, 0, 1, 1, 1]).sum() == 4
    with pytest.raises(InvalidArgumentError, match=r"none of the 2 options of choice 1 \(counted from 0, of 3\)"):
        THREE.checked([1, 1, 1, 0, 0, 1, 1])


def test_of_many_masks_the_bad_one_is_named() -> None:
    rows = np.ones((3, 7), bool)
    assert THREE.checked_rows(rows, 3) is rows
    rows[1, 5:] = False
    with pytest.raises(InvalidArgumentError, match=r"choice 2 .*number 1 of 3"):
        THREE.checked_rows(rows, 3)
    with pytest.raises(InvalidArgumentError, match=r"\(3, 7\) was given where \(2, 7\).*3, 2, 2 of them"):
        THREE.checked_rows(rows, 2)


class Masker:
    uses_action_masks = True

    def act(self, observation: Any, *, action_mask: Any = None) -> int:
        return 0

    def act_batch(self, observations: Any, *, action_masks: Any = None) -> int:
        return 0


class Forgetful(Masker):
    def act(self, observation: Any) -> int:  # type: ignore[override]
        return 1


class Silent(Masker):
    uses_action_masks = False


class Plain:
    def act(self, observation: Any) -> int:
        return 0


def by_function(observation: Any, action_mask: Any = None) -> int:
    return 0


class Any_:
    uses_action_masks = True

    def __call__(self, observation: Any, **beside: Any) -> int:
        return 0


@pytest.mark.parametrize(
    ("actor", "takes"),
    [
        (Masker(), True),
        (Forgetful(), False),
        (Silent(), False),
        (Silent().act, False),
        (Plain(), False),
        (Masker().act_batch, True),
        (functools.partial(Masker().act), True),
        (by_function, True),
        (lambda observation: 0, False),
        (lambda observation, **beside: 0, False),
        (Any_(), True),
        (len, False),
    ],
)
def test_who_takes_masks(actor: Any, takes: bool) -> None:
    assert takes_masks(actor) is takes


def test_who_takes_masks_behind_a_stand_in() -> None:
    class Six:
        def __init__(self, part: Any) -> None:
            self.part = part

    assert takes_masks(completed(Masker(), Six))
    assert not takes_masks(completed(Plain(), Six))

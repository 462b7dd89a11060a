"""Which spaces an agent serves beside its own."""

import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix.adapters.tensorflow.actions.table import head_for
from tensor_optix.adapters.tensorflow.models.model_checks import require_served
from tensor_optix.exceptions import UnsupportedSpaceError

BOX = spaces.Box(-1.0, 1.0, (3,), np.float32)
IMAGE = spaces.Box(0, 255, (4, 4), np.uint8)
CHOICE = spaces.Discrete(4)


@pytest.mark.parametrize(
    ("known", "new"),
    [
        (BOX, spaces.Box(-np.inf, np.inf, (3,), np.float64)),
        (BOX, spaces.Box(-9, 9, (3,), np.int32)),
        (BOX, spaces.MultiBinary(3)),
        (BOX, spaces.MultiDiscrete([3, 3, 3])),
        (IMAGE, spaces.Box(0, 3, (4, 4), np.int64)),
        (spaces.Discrete(5), spaces.Discrete(3, start=1)),
        (spaces.MultiDiscrete([5, 5]), spaces.MultiDiscrete([5, 2], dtype=np.int32)),
        (spaces.MultiBinary(3), spaces.MultiBinary(3)),
        (spaces.Dict(a=BOX), spaces.Dict(a=spaces.Box(-2, 2, (3,)), b=BOX)),
        (spaces.Tuple([BOX, CHOICE]), spaces.Tuple([spaces.Box(-2, 2, (3,)), CHOICE])),
        (spaces.Dict(a=spaces.Dict(b=BOX)), spaces.Dict(a=spaces.Dict(b=spaces.Box(-2, 2, (3,))))),
    ],
)
def test_observations_that_are_served(known, new):
    require_served((known, CHOICE), (new, CHOICE), head_for(CHOICE))


@pytest.mark.parametrize(
    ("known", "new", "reason"),
    [
        (BOX, spaces.Box(-1, 1, (4,)), r"the shape \(4,\) instead of \(3,\)"),
        (BOX, CHOICE, "another kind of space"),
        (IMAGE, spaces.Box(0, 1, (4, 4), np.float32), "float32 instead of uint8"),
        (IMAGE, spaces.Box(0, 300, (4, 4), np.int64), "int64 values that uint8 cannot hold"),
        (spaces.Discrete(5), spaces.Discrete(5, start=1), "values that the other has not"),
        (spaces.Discrete(5), BOX, "another kind of space"),
        (spaces.Dict(a=BOX), spaces.Dict(b=BOX), "the part 'a' is missing"),
        (spaces.Dict(a=BOX), spaces.Dict(a=IMAGE), "in the part 'a', the shape"),
        (spaces.Dict(a=BOX), BOX, r"the parts \['a'\] are expected"),
        (spaces.Tuple([BOX]), spaces.Tuple([BOX, BOX]), "1 parts are expected"),
    ],
)
def test_observations_that_are_not(known, new, reason):
    with pytest.raises(UnsupportedSpaceError, match=f"made for observations in .*{reason}"):
        require_served((known, CHOICE), (new, CHOICE), head_for(CHOICE))


@pytest.mark.parametrize(
    ("known", "new"),
    [
        (CHOICE, spaces.Discrete(4, start=3)),
        (BOX, spaces.Box(-np.inf, 0.5, (3,), np.float64)),
        (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([2, 3], start=[1, 1])),
        (spaces.MultiBinary(2), spaces.MultiBinary(2)),
    ],
)
def test_actions_that_are_served(known, new):
    require_served((BOX, known), (BOX, new), head_for(known))


@pytest.mark.parametrize(
    ("known", "new", "reason"),
    [
        (CHOICE, spaces.Discrete(5), "5 actions instead of 4"),
        (CHOICE, BOX, "another kind of space"),
        (BOX, spaces.Box(-1, 1, (2,)), "the shape"),
        (BOX, spaces.Box(2, 3, (3,)), "no action is within the bounds of both"),
        (BOX, spaces.Box(-1, 1, (3,), np.int32), "int32 instead of floats"),
        (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([3, 2]), "other numbers of options"),
        (spaces.MultiBinary(2), spaces.MultiBinary(3), "the shape"),
    ],
)
def test_actions_that_are_not(known, new, reason):
    with pytest.raises(UnsupportedSpaceError, match=f"made for actions in .*{reason}"):
        require_served((BOX, known), (BOX, new), head_for(known))

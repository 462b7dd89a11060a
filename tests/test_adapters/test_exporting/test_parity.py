import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix.adapters.tensorflow.actions.table import head_for
from tensor_optix.adapters.tensorflow.exporting.parity import check_single, largest_difference, num_other_actions
from tensor_optix.exceptions import ExportError

DISCRETE = head_for(spaces.Discrete(3, start=4))


def test_the_largest_difference_counts_as_a_share_of_large_outputs():
    expected = np.array([[0.0, 1.0], [2_000.0, 0.0]])
    assert largest_difference(expected, np.add(expected, [[5e-5, 0.0], [0.0, 0.1]])) == pytest.approx(5e-5)


@pytest.mark.parametrize("change", [2e-4, np.nan, np.inf, -1.0])
def test_a_difference_beyond_what_is_allowed_is_refused(change):
    expected = np.zeros((3, 2))
    got = expected.copy()
    got[1, 0] = change
    with pytest.raises(ExportError, match="outputs differ"):
        largest_difference(expected, got)


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(ExportError, match=r"\(3, 1\) instead of \(3, 2\)"):
        largest_difference(np.zeros((3, 2)), np.zeros((3, 1)))


def test_an_action_may_differ_only_between_equals():
    outputs = np.array([[0.0, 1.0, 1.0 - 1e-5], [0.0, 1.0, 0.0]])
    assert num_other_actions(DISCRETE, outputs, np.array([5, 5])) == 0
    assert num_other_actions(DISCRETE, outputs, np.array([6, 5])) == 1
    with pytest.raises(ExportError, match="takes 6 where the agent takes 5"):
        num_other_actions(DISCRETE, outputs, np.array([5, 6]))


@pytest.mark.parametrize(
    ("space", "outputs", "good", "bad"),
    [
        (spaces.MultiDiscrete([2, 2]), [1.0, 1.0 + 1e-6, 0.0, 1.0], [0, 1], [0, 0]),
        (spaces.MultiBinary(2), [1e-6, 1.0], [0, 1], [1, 0]),
        (spaces.Box(-2.0, 2.0, (2,)), [0.25, 9.0], [0.500001, 2.0], [0.51, 2.0]),
        (spaces.Box(-np.inf, np.inf, (2,)), [0.25, 9.0], [0.250001, 9.00001], [0.25, 9.1]),
    ],
)
def test_every_kind_of_action_has_its_equals(space, outputs, good, bad):
    head, outputs = head_for(space), np.array([outputs], np.float32)
    num_other_actions(head, outputs, np.array([good], space.dtype))
    with pytest.raises(ExportError, match="where the agent takes"):
        num_other_actions(head, outputs, np.array([bad], space.dtype))


def test_one_alone_must_be_what_it_was_among_others():
    batch = np.arange(6.0).reshape(3, 2)
    check_single(lambda parts: [2 * parts[0]], [batch], 2 * batch, is_random=False)
    with pytest.raises(ExportError, match="one observation alone gives"):
        check_single(lambda parts: [parts[0] / len(parts[0])], [batch + 1], (batch + 1) / 3, is_random=False)
    with pytest.raises(ExportError, match="one observation alone gives"):
        check_single(lambda parts: [parts[0][0]], [batch], batch, is_random=True)

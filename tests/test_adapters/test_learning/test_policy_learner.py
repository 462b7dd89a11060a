"""How ``TFAgent`` weighs what it learns from: shares, spreads and signals, by hand and by their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.adapters.tensorflow.learning.policy_learner import (
    MEMORY_STEPS,
    UsualSpread,
    fresh_share,
    signal_strength,
)


def test_a_window_may_move_the_policy_as_far_as_it_renews_the_memory():
    assert fresh_share(MEMORY_STEPS // 8) == 0.125
    assert fresh_share(10 * MEMORY_STEPS) == 1.0


def test_steps_shrink_where_advantages_vanish():
    assert signal_strength(5.0, reward_scale=1.0, usual_spread=4.0) == 1.0
    assert signal_strength(0.1, reward_scale=1.0, usual_spread=4.0) == pytest.approx(0.1)
    # Rewards that differ little from a large constant: what is usual counts, not the constant.
    assert signal_strength(0.01, reward_scale=1.0, usual_spread=0.01) == 1.0
    assert signal_strength(0.0, reward_scale=0.0, usual_spread=0.0) == 1.0


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(1e-6, 1e6))
def test_the_signal_has_no_scale(spread, reward_scale, usual, factor):
    scaled = signal_strength(factor * spread, factor * reward_scale, factor * usual)
    assert scaled == pytest.approx(signal_strength(spread, reward_scale, usual), rel=1e-9)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_the_usual_spread_is_the_root_mean_square(spreads):
    usual = UsualSpread()
    for spread in spreads:
        usual = usual.after(spread)
    assert usual.value == pytest.approx(np.sqrt(np.mean(np.square(spreads))), abs=1e-6)
    assert usual.count == len(spreads)

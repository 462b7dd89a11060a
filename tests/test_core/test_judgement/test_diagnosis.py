"""Why scores fell: the policy, the world, or chance."""

import numpy as np
import pytest

from tensor_optix.core.judgement.diagnosis import Cause, find_cause, is_lower, is_lower_paired, is_unharmed


@pytest.mark.parametrize("num_now", [10, 40])
@pytest.mark.parametrize("lost_spreads", [0.5, 1.5])
def test_a_policy_that_lost_more_than_half_a_spread_is_rarely_acquitted(num_now, lost_spreads):
    rng = np.random.default_rng(0)

    def acquitted(lost_by_both, lost_by_current):
        then, first = rng.normal(0, 1, 40), rng.normal(0, 0.3, num_now)
        noise = rng.normal(0, 0.95, (2, num_now))
        champion, current = first + noise[0] - lost_by_both, first + noise[1] - lost_by_both - lost_by_current
        return is_unharmed(then, champion, current)

    assert np.mean([acquitted(lost_spreads, 0.0) for _ in range(2000)]) < 0.08
    assert np.mean([acquitted(0.0, lost_spreads) for _ in range(2000)]) < 0.08


def test_a_policy_as_good_as_ever_is_acquitted_at_once_where_nothing_varies():
    assert is_unharmed([500.0] * 20, [500.0] * 10, [500.0] * 10)
    assert not is_unharmed([500.0] * 20, [500.0] * 9, [500.0] * 9), "nine of ten may hide a rare failure"


def test_find_cause_on_known_cases():
    rng = np.random.default_rng(0)
    good, bad = rng.normal(100, 5, 20), rng.normal(60, 5, 20)
    assert find_cause(good, rng.normal(100, 5, 20), bad) is Cause.POLICY_DAMAGED
    assert find_cause(good, bad, rng.normal(60, 5, 20)) is Cause.WORLD_CHANGED
    assert find_cause(good, rng.normal(100, 5, 20), rng.normal(100, 5, 20)) is Cause.FALSE_ALARM
    assert find_cause([500.0] * 20, [500.0] * 20, [9.0] * 20) is Cause.POLICY_DAMAGED
    assert find_cause([500.0] * 20, [500.0] * 19 + [480.0], [500.0] * 20) is Cause.FALSE_ALARM


def test_a_loss_that_hides_in_the_spread_of_first_states_shows_in_the_same_episodes():
    then = np.linspace(-300.0, 0.0, 20)
    rng = np.random.default_rng(0)
    now = then - np.where(np.arange(20) % 2, 0.0, 90.0) - rng.normal(0, 2, 20)
    assert find_cause(then, now, now) is Cause.FALSE_ALARM
    assert find_cause(then, now, now, then) is Cause.WORLD_CHANGED
    assert is_unharmed(then, then, then, then)
    assert not is_unharmed(then, now, now, then)


def test_pairs_show_what_the_spread_of_first_states_hides():
    champion = np.linspace(-300.0, 0.0, 12)
    damaged = champion - 60.0 - 10.0 * np.sin(np.arange(12))
    assert not is_lower(damaged, champion)
    assert is_lower_paired(damaged, champion)
    assert find_cause(champion, champion, damaged) is Cause.POLICY_DAMAGED
    assert not is_lower_paired(champion, champion)
    assert not is_lower_paired(damaged[:6], champion)
    assert not is_lower_paired(champion - 1.0, champion), "too little to matter"

"""How often the watchdog cries wolf, and how late it is, on simulated noise and on real returns of frozen policies."""

import numpy as np
from detector_simulation import unit_noise
from judgement_frozen import RESULT, load

from tensor_optix.core.judgement.watchdog import Watchdog
from tensor_optix.monitoring import DegradationDetector

PHIS = (0.0, 0.3, 0.6)
KINDS = ("normal", "skewed down", "skewed up", "bounded", "heavy-tailed (t3)")
ORACLE = {0.0: (15, 5, 2), 0.3: (26, 7, 3), 0.6: (47, 13, 5)}
STEADY, DROPPED = 1_000, 400
SCENARIOS = [
    # calibrated on, steady windows before the drop
    (50, 0),
    (50, 100),
    (50, 500),
    (200, 0),
    (200, 100),
    (200, 500),
]
WATCHED = (120, 180, 300)
"""Steady windows that the loop's watchdog has seen before the drop."""


def alarm_of_detector(scores, calibrated):
    """Return the index of the first alarm after calibration, None without one."""
    detector = DegradationDetector()
    detector.calibrate(scores[:calibrated])
    return next((i for i, score in enumerate(scores[calibrated:].tolist()) if detector.update(score)), None)


def alarm_of_watchdog(scores):
    """Return the index of the first alarm of the loop's own watchdog, from the moment it is put in charge."""
    watchdog = Watchdog()
    return next((i for i, score in enumerate(scores.tolist()) if watchdog.update(score)), None)


def share_with_alarm(alarms):
    return float(np.mean([alarm is not None for alarm in alarms]))


def steady_shares(rng, count):
    """Return ``{who: {phi: {kind: share of series with an alarm}}}``."""
    who = {
        "detector, calibrated on 50": (50, lambda x: alarm_of_detector(x, 50)),
        "detector, calibrated on 200": (200, lambda x: alarm_of_detector(x, 200)),
        "the loop's watchdog": (0, alarm_of_watchdog),
    }
    return {
        name: {
            str(phi): {
                kind: share_with_alarm(map(alarm, unit_noise(rng, (count, before + STEADY), phi, kind)))
                for kind in KINDS
            }
            for phi in PHIS
        }
        for name, (before, alarm) in who.items()
    }


def frozen_shares(rng, count):
    """Return ``{policy: share with an alarm}``: the windows of each frozen policy in many random orders."""
    if not RESULT.exists():
        return {}
    shares = {}
    for name, scores in load().items():
        alarms = [alarm_of_watchdog(rng.permutation(scores)[: STEADY + 200]) for _ in range(count - 1)]
        shares[name] = share_with_alarm([alarm_of_watchdog(scores[: STEADY + 200]), *alarms])
    return shares


def median_delay(alarms, drop_at):
    delays = [np.inf if alarm is None else alarm - drop_at + 1 for alarm in alarms if alarm is None or alarm >= drop_at]
    return float(np.median(delays))


def delay_ratios(rng, count):
    """Return ``{scenario: {phi: [median delay over the oracle's, for drops of 1, 2 and 3 sd]}}``."""
    found = {}
    for calibrated, steady in [*SCENARIOS, *((None, steady) for steady in WATCHED)]:
        name = f"calibrated on {calibrated}, {steady} steady" if calibrated else f"the loop's watchdog, {steady} steady"
        found[name] = {}
        for phi in PHIS:
            ratios = []
            for size, oracle in zip((1, 2, 3), ORACLE[phi], strict=True):
                series = unit_noise(rng, (count, (calibrated or 0) + steady + DROPPED), phi)
                series[:, (calibrated or 0) + steady :] -= size
                alarm = alarm_of_watchdog if calibrated is None else lambda x, n=calibrated: alarm_of_detector(x, n)
                ratios.append(median_delay(map(alarm, series), steady) / oracle)
            found[name][str(phi)] = ratios
    return found


def invariance(rng, count):
    """Return how many of ``count`` series get the same verdicts under ``a x`` and ``a x + b``."""
    same = {"power of two": 0, "a x + b": 0}
    for i in range(count):
        x = unit_noise(rng, (1, 400), PHIS[i % 3], KINDS[i % len(KINDS)])[0]
        x[300:] -= rng.uniform(0, 3)
        scale, offset = float(np.exp(rng.uniform(-12, 12))), float(rng.uniform(-1e6, 1e6))
        plain = alarm_of_detector(x, 50)
        same["power of two"] += plain == alarm_of_detector(x * 2.0 ** int(rng.integers(-60, 60)), 50)
        same["a x + b"] += plain == alarm_of_detector(scale * (x + offset), 50)
    return same

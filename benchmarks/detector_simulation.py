"""Print how often the detectors are wrong, and how late they are, on simulated scores.

Run ``python benchmarks/detector_simulation.py`` (a few minutes; ``--quick`` for a tenth of the series). The detectors'
constants were chosen on other seeds than the default one.
"""

import argparse
import time
from functools import partial

import numpy as np
from scipy.signal import lfilter

from tensor_optix.monitoring import DegradationDetector, PlateauDetector, Trend

COOLING, DORMANT = 5, 20
PHIS = (0.0, 0.3, 0.6)
ORACLE = {0.0: (15, 5, 2), 0.3: (26, 7, 3), 0.6: (47, 13, 5)}  # median delays of a CUSUM that knows everything


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the series")
    arguments = parser.parse_args()
    share = 10 if arguments.quick else 1
    started = time.perf_counter()
    sections = (
        (rising_series, 1000),
        (constant_series, 200),
        (exponential_series, 100),
        (late_risers, 100),
        (capped_series, 200),
        (steady_watch, 400),
        (drops, 400),
        (collapses, 400),
        (learning_alarms, 200),
    )
    for number, (section, count) in enumerate(sections):
        print(f"\n{section.__doc__}")
        section(np.random.default_rng([arguments.seed, number]), count // share)
    print(f"\n{time.perf_counter() - started:.0f} s")


def unit_innovations(rng, shape, kind):
    """Independent values with mean 0 and variance 1."""
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "skewed down":
        return 1.0 - rng.exponential(size=shape)
    if kind == "skewed up":
        return rng.exponential(size=shape) - 1.0
    if kind == "heavy-tailed (t3)":
        return rng.standard_t(3, size=shape) / np.sqrt(3.0)
    capped = np.minimum(0.0, rng.normal(0.3, 1.0, size=shape))  # "bounded": 62 % of the scores at a ceiling
    return (capped + 0.2666) / 0.4803


def unit_noise(rng, shape, phi=0.0, kind="normal"):
    """A stationary AR(1) along the last axis with variance 1."""
    innovations = unit_innovations(rng, (*shape[:-1], shape[-1] + 60), kind)
    return lfilter([np.sqrt(1.0 - phi**2)], [1.0, -phi], innovations)[..., 60:]


def judge(scores, thresholds=(COOLING, DORMANT)):
    """Return the looks at which COOLING and DORMANT were reached (None: never), and the last verdict."""
    detector, count, reached = PlateauDetector(), 0, [None, None]
    trend = Trend.WARMING_UP
    for look, score in enumerate(scores.tolist()):
        trend = detector.update(score)
        if trend is Trend.IMPROVING:
            count = 0
        elif trend is not Trend.WARMING_UP:
            count += 1
            for i, threshold in enumerate(thresholds):
                if count == threshold and reached[i] is None:
                    reached[i] = look
        if reached[-1] is not None:
            break
    return *reached, trend


def rising_series(rng, count):
    """Rising series called a plateau (COOLING, DORMANT) with 10 % of the gain so far still to come: at most 2 %."""
    by_shape = {}
    for i in range(count):
        shape = ("linear", "exponential", "logarithmic")[i % 3]
        length = int(rng.choice([300, 1000, 2000]))
        t = np.arange(length) / (length - 1)
        if shape == "linear":
            level, final = t, 1.0
        elif shape == "exponential":
            level, final = 1.0 - np.exp(-t / rng.uniform(0.08, 0.5)), 1.0
        else:
            steepness = np.exp(rng.uniform(np.log(9.0), np.log(length)))
            level, final = np.log1p(steepness * t) / np.log1p(steepness), 1.0
        sd, phi = rng.choice([0.02, 0.05, 0.1, 0.2, 0.35, 0.5]), rng.choice([0.0, 0.0, 0.3, 0.6])
        reached = judge(7.0 * (level + sd * unit_noise(rng, (length,), phi)) - 3.0)[:2]
        early = [look is not None and final - level[look] >= 0.1 * (level[look] - level[0]) for look in reached]
        by_shape.setdefault(shape, []).append(early)
    for shape, flags in by_shape.items():
        cooling, dormant = np.mean(flags, axis=0)
        print(f"  {shape:12s} COOLING {cooling:6.1%}  DORMANT {dormant:6.1%}  of {len(flags)}")
    print(f"  {'all':12s} COOLING {np.mean([f[0] for g in by_shape.values() for f in g]):6.1%}")


def constant_series(rng, count):
    """Constant noisy series: DORMANT within 1,000 looks (at least 90 %), never called a PLATEAU."""
    for phi in PHIS:
        ends = []
        for _ in range(count):
            noise = rng.choice([0.01, 0.3, 2.0]) * unit_noise(rng, (1000,), phi)
            ends.append(judge(rng.choice([-3.0, 0.0, 7.0]) + noise)[1:])
        looks = [look for look, _ in ends if look is not None]
        plateaus = np.mean([trend is Trend.PLATEAU for _, trend in ends])
        print(
            f"  phi {phi}: DORMANT {len(looks) / count:6.1%}, median look {np.median(looks):.0f}, PLATEAU "
            f"{plateaus:.1%}"
        )


def exponential_series(rng, count):
    """Exponential approach, tau = T/7 to T/6 of T = 2,000: missed (at most 15 %), wasted after t95 (at most 1.0)."""
    for sd in (0.05, 0.1, 0.2):
        for phi in (0.0, 0.5, 0.8):
            wasted, early = [], 0
            for _ in range(count):
                tau = 2000 * rng.uniform(1 / 7, 1 / 6)
                level = 1.0 - np.exp(-np.arange(2000) / tau)
                look = judge(level + sd * unit_noise(rng, (2000,), phi))[1]
                if look is not None:
                    wasted.append(look / (3.0 * tau) - 1.0)
                    early += level[look] < 0.9
            missed = 1.0 - len(wasted) / count
            median = np.median(wasted) if wasted else np.nan
            print(
                f"  noise {sd:.2f} phi {phi}: missed {missed:6.1%}, wasted {median:.2f} x t95, "
                f"below 90 % {early / count:.1%}"
            )


def late_risers(rng, count):
    """Flat at first, then rising (T = 2,000): stopped below 90 % of the final level."""
    t = np.arange(2000)
    for share in (0.1, 0.25):
        for sd in (0.02, 0.2):
            begin, end = share * 2000, (share + 0.18) * 2000
            level = 1.0 / (1.0 + np.exp(-(t - (begin + end) / 2) / ((end - begin) / 10)))
            looks = [judge(level + sd * unit_noise(rng, (2000,), rng.choice(PHIS)))[1] for _ in range(count)]
            early = np.mean([look is not None and level[look] < 0.9 for look in looks])
            print(f"  flat for {share:.0%}, noise {sd}: too early {early:6.1%}")


def capped_series(rng, count):
    """Runs of 600 looks that rise to a ceiling of 500 in 60 to 200, with rare drops there."""
    wasted, early = [], 0
    for _ in range(count):
        level = np.minimum(1.0, np.arange(600) / rng.uniform(60, 200)) ** rng.choice([0.5, 1.0, 2.0])
        climbing = 20 + 480 * level + 100 * level * unit_noise(rng, (600,), 0.3)
        ceiling = 500 - (rng.random(600) < 0.1) * rng.exponential(60, 600)
        look = judge(np.where(level < 1.0, np.minimum(500, climbing), ceiling))[1]
        if look is not None:
            wasted.append(look / np.argmax(level >= 0.95) - 1.0)
            early += level[look] < 0.9
    print(f"  stopped {len(wasted) / count:.1%}, too early {early / count:.1%}, wasted {np.median(wasted):.2f} x t95")


def alarm_at(detector, scores):
    """Return the index of the first alarm, None without one."""
    return next((i for i, score in enumerate(scores.tolist()) if detector.update(score)), None)


def watch(make, calibration, scores):
    detector = make()
    detector.calibrate(calibration)
    return alarm_at(detector, scores)


KINDS = ("normal", "skewed down", "skewed up", "heavy-tailed (t3)", "bounded")


def steady_watch(rng, count):
    """Steady series with an alarm in 1,000 scores: at most 3 % when calibrated on 50, 5 % on 20 to 30."""
    for calibrated in (50, 30, 20):
        shares = []
        for phi in PHIS:
            row = []
            for kind in KINDS:
                series = unit_noise(rng, (count, calibrated + 1000), phi, kind)
                make = DegradationDetector
                row.append(np.mean([watch(make, x[:calibrated], x[calibrated:]) is not None for x in series]))
            shares += row
            print(f"  n {calibrated} phi {phi}: " + ", ".join(f"{k} {v:.1%}" for k, v in zip(KINDS, row, strict=True)))
        returns = 500 - (rng.random((count, calibrated + 1000)) < rng.choice([0.03, 0.1, 0.3], (count, 1))) * (
            rng.exponential(80, (count, calibrated + 1000))
        )
        rare = np.mean([watch(DegradationDetector, x[:calibrated], x[calibrated:]) is not None for x in returns])
        print(f"  n {calibrated}: capped returns with rare drops {rare:.1%}; all series {np.mean([*shares, rare]):.1%}")


def drops(rng, count):
    """Median delay for a drop of 1 / 2 / 3 sd, calibrated on 50; over the oracle's, at most 1.6."""
    for steady in (0, 100, 500):
        for phi in PHIS:
            text = []
            for size, oracle in zip((1, 2, 3), ORACLE[phi], strict=True):
                series = unit_noise(rng, (count, 50 + steady + 1000), phi)
                series[:, 50 + steady :] -= size
                alarms = [watch(DegradationDetector, x[:50], x[50:]) for x in series]
                delays = [np.inf if a is None else a - steady + 1 for a in alarms if a is None or a >= steady]
                text.append(f"{np.median(delays):.0f} ({np.median(delays) / oracle:.1f})")
            print(f"  after {steady} steady scores, phi {phi}: " + ", ".join(text))


def collapses(rng, count):
    """Collapse from 100 to 1: share found within 5 scores."""
    for make, calibrated, sd in (
        (DegradationDetector, 30, 3.0),
        (DegradationDetector, 30, 10.0),
        (DegradationDetector.while_learning, 4, 3.0),
        (DegradationDetector.while_learning, 10, 3.0),
        (DegradationDetector.while_learning, 10, 10.0),
    ):
        found = [
            watch(make, 100 + sd * rng.normal(size=calibrated), 1 + 0.1 * sd * rng.normal(size=5)) is not None
            for _ in range(count)
        ]
        print(f"  {make.__name__}, calibrated on {calibrated}, sd {sd}: {np.mean(found):.1%}")


def learning_alarms(rng, count):
    """The preset for learning on constant noisy series of 1,000: at most 5 % alarm."""
    for calibrated in (4, 6, 10, 20, 40):
        series = (unit_noise(rng, (count, calibrated + 1000), phi) for phi in PHIS)
        preset = partial(watch, DegradationDetector.while_learning)
        shares = [np.mean([preset(x[:calibrated], x[calibrated:]) is not None for x in block]) for block in series]
        print(f"  n {calibrated}: " + ", ".join(f"phi {phi} {v:.1%}" for phi, v in zip(PHIS, shares, strict=True)))


if __name__ == "__main__":
    main()

"""How often simulated curves that never learn are called trained.

    python benchmarks/hopeless_simulation.py                 # the held-out kinds and seeds
    python benchmarks/hopeless_simulation.py --tuning        # those that the rule was made with

Kinds were split before any was looked at. Every kind has curves of five lengths; what is counted is whether
`PlateauDetector` ever says PLATEAU (a loop needs 20 looks of it in a row), and how many are called stalled.
"""

import argparse

import numpy as np
from detector_simulation import unit_noise
from scipy.signal import lfilter

from tensor_optix.monitoring import PlateauDetector, Trend

LENGTHS = (60, 150, 400, 1000, 2000)
DORMANT = 20


def drift_of(rng, length, memory):
    """A stationary drift with variance 1 that forgets over so many looks."""
    phi, lead_in = np.exp(-1 / memory), int(5 * memory)
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=length + lead_in))[lead_in:]


def share(rng, low=0.003, high=0.2):
    return np.exp(rng.uniform(np.log(low), np.log(high)))


def reflected_walk(rng, length):
    bound, step = rng.uniform(0.5, 1.0), rng.uniform(0.02, 0.2)
    path = np.cumsum(step * rng.normal(size=length)) + rng.uniform(-bound, bound)
    return bound - np.abs((path - bound) % (4 * bound) - 2 * bound)


def switching(rng, length):
    return (np.cumsum(rng.random(length) < 1 / max(10.0, rng.uniform(0.0, length / 6))) + rng.integers(2)) % 2


def quiet_after(rng, length):
    """Noise that is a part of what it was from some time in the first seventh on, as where exploration falls."""
    loud = np.arange(length) < length * rng.uniform(0.02, 0.15)
    return np.where(loud, 1.0, rng.uniform(0.05, 0.4)) * rng.normal(size=length)


def loud_for_a_while(rng, length):
    spread, start = np.full(length, rng.uniform(0.1, 0.5)), rng.integers(length)
    spread[start : start + length // 4] = 1.0
    return spread * rng.normal(size=length)


def short_episodes_first(rng, length):
    """The first few looks hold the episodes that were soon over."""
    scores = rng.normal(size=length)
    scores[: rng.integers(1, 4)] -= rng.uniform(0.5, 2.5)
    return scores


TUNING = {
    "white": lambda rng, n: rng.normal(size=n),
    "autocorrelated": lambda rng, n: unit_noise(rng, (n,), rng.choice([0.3, 0.6, 0.8])),
    "heavy-tailed": lambda rng, n: unit_noise(rng, (n,), rng.choice([0.0, 0.3]), "heavy-tailed (t3)"),
    "skewed down": lambda rng, n: unit_noise(rng, (n,), rng.choice([0.0, 0.3]), "skewed down"),
    "skewed up": lambda rng, n: unit_noise(rng, (n,), rng.choice([0.0, 0.3]), "skewed up"),
    "equal, rarely better": lambda rng, n: -500 + (rng.random(n) < share(rng)) * rng.exponential(60, n),
    "equal, rarely worse": lambda rng, n: 1 - (rng.random(n) < share(rng)) * rng.choice([0.2, 0.4, 0.6], n),
    "bounded drift": lambda rng, n: (
        rng.normal(size=n) + rng.choice([0.3, 0.6, 1.0, 1.5]) * drift_of(rng, n, rng.choice([10, 30, 100]))
    ),
    "slow drift": lambda rng, n: (
        rng.normal(size=n) + rng.choice([0.3, 0.6, 1.0]) * drift_of(rng, n, n * rng.choice([0.1, 0.3]))
    ),
    "noise shrinks": lambda rng, n: np.exp(-np.arange(n) / n * rng.uniform(1, 5)) * rng.normal(size=n),
    "noise grows": lambda rng, n: np.exp(np.arange(n) / n * rng.uniform(1, 5)) * rng.normal(size=n),
    "wins of five games": lambda rng, n: rng.binomial(5, rng.uniform(0.01, 0.5), n) / 5,
}
HELD_OUT = {
    "periodic": lambda rng, n: (
        rng.normal(size=n)
        + rng.uniform(0.3, 1.2) * np.sin(2 * np.pi * (np.arange(n) / rng.uniform(10, n / 3) + rng.random()))
    ),
    "switching": lambda rng, n: rng.normal(size=n) + rng.uniform(0.3, 1.5) * switching(rng, n),
    "reflected walk": lambda rng, n: rng.normal(size=n) + reflected_walk(rng, n),
    "loud for a while": loud_for_a_while,
    "quiet after a while": quiet_after,
    "episode lengths": lambda rng, n: rng.geometric(rng.uniform(0.02, 0.2), (n, 5)).mean(1) * 1.0,
    "two outcomes": lambda rng, n: (
        np.where(rng.random((n, 5)) < rng.uniform(0.02, 0.5), 100.0, -100.0).mean(1) + rng.normal(size=n)
    ),
    "lognormal": lambda rng, n: (
        np.exp(unit_noise(rng, (n,), rng.choice([0.0, 0.5])) * rng.uniform(0.3, 1.2)) * rng.choice([-1, 1])
    ),
    "short episodes first": short_episodes_first,
}


def verdict_of(scores):
    """Return whether PLATEAU was ever said, and what the run was called at its end, if it ended."""
    detector, said, count = PlateauDetector(), False, 0
    for score in scores.tolist():
        trend = detector.update(score)
        said = said or trend is Trend.PLATEAU
        count = count + 1 if trend in (Trend.PLATEAU, Trend.STALLED) else 0
        if count == DORMANT:
            return said, trend
    return said, None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--curves", type=int, default=100, help="of each kind and length")
    arguments = parser.parse_args()
    kinds, seed = (TUNING, 11) if arguments.tuning else (HELD_OUT, 9901)
    totals = np.zeros(3, int)
    for number, (name, make) in enumerate(kinds.items()):
        found = []
        for length in LENGTHS:
            rng = np.random.default_rng([seed, number, length])
            verdicts = [verdict_of(make(rng, length)) for _ in range(arguments.curves)]
            said = sum(plateau for plateau, _ in verdicts)
            found.append(
                [said, *(sum(end is trend for _, end in verdicts) for trend in (Trend.PLATEAU, Trend.STALLED))]
            )
        totals += np.sum(found, axis=0)
        row = (f"{length}: {' '.join(map(str, counts))}" for length, counts in zip(LENGTHS, found, strict=True))
        print(f"{name:22s} " + "  ".join(row), flush=True)
    curves = len(kinds) * len(LENGTHS) * arguments.curves
    print(f"of {curves}: PLATEAU ever {totals[0]}, trained {totals[1]}, stalled {totals[2]}")


if __name__ == "__main__":
    main()

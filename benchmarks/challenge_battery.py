"""Print how often a worse challenger becomes champion, how often a better one, and in how many pairs of episodes.

Run ``python benchmarks/challenge_battery.py`` (a minute; ``--runs 300`` for a tenth of the challenges). NumPy only:
returns are drawn, nobody plays. Each challenge is decided by both rules on the same returns: the one before (stop once
the mean difference is 3.5 standard errors from 0, win above 1.64) and the package's, with and without training returns
that tell how low a policy may fall. Rounds of 5 pairs, 20 at most.
"""

import argparse
import datetime
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tensor_optix.core.judgement.arena import is_better_paired, is_decided_paired

ROUND, MOST = 5, 20
Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
"""``(generator, number of episodes)`` to the returns of challenger and champion in them."""


@dataclass(frozen=True)
class Case:
    """Two policies.

    Attributes:
        draw: Their returns.
        gain: True difference of their means.
    """

    draw: Draw
    gain: float


def failing(ahead: float, challenger: float, champion: float, noise: float) -> Case:
    """The challenger is ahead where nobody fails; a failure costs 10, and each fails with its own rate."""

    def draw(rng, count):
        shared, own, other = (noise * math.sqrt(0.5) * rng.normal(size=count) for _ in range(3))
        fails = rng.random((2, count)) < [[challenger], [champion]]
        return ahead + shared + own - 10.0 * fails[0], shared + other - 10.0 * fails[1]

    return Case(draw, ahead - 10.0 * (challenger - champion))


def succeeding(challenger: float, champion: float) -> Case:
    """1 or 0: most pairs are ties."""
    return Case(
        lambda rng, count: tuple((rng.random((2, count)) < [[challenger], [champion]]).astype(float)),
        challenger - champion,
    )


def skewed(ahead: float, challenger: float, champion: float) -> Case:
    """Lognormal losses of different size."""

    def draw(rng, count):
        losses = rng.lognormal(size=(2, count))
        return ahead - challenger * losses[0], -champion * losses[1]

    return Case(draw, ahead - (challenger - champion) * math.exp(0.5))


def capped(ahead: float, challenger: float, champion: float) -> Case:
    """Nearly always 500; what fails ends somewhere below."""

    def draw(rng, count):
        depths = 500.0 * np.sqrt(rng.random((2, count))) * (rng.random((2, count)) < [[challenger], [champion]])
        return 500.0 - depths[0], 500.0 - ahead - depths[1]

    return Case(draw, ahead - 500.0 * 2.0 / 3.0 * (challenger - champion))


def shifted(ahead: float, shared: float) -> Case:
    """Normal returns of one spread, of which a share is that of the episode."""

    def draw(rng, count):
        of_episode, own, other = rng.normal(size=(3, count))
        common = math.sqrt(shared) * of_episode
        return ahead + common + math.sqrt(1 - shared) * own, common + math.sqrt(1 - shared) * other

    return Case(draw, ahead)


def battery() -> dict[str, dict[str, Case]]:
    """Return the cases by what should come of them."""
    rates = [(0.05, 0.1, 0.05), (0.05, 0.15, 0.05), (0.05, 0.2, 0.05), (0.05, 0.2, 0.1), (0.3, 0.1, 0.05)]
    rates += [(0.5, 0.15, 0.05), (1.0, 0.2, 0.05), (0.05, 0.1, 0.0)]
    worse = {
        f"{a:+.2f}, fails {p:.0%} for {q:.0%}, noise {s}": failing(a, p, q, s)
        for s in (0.0, 0.1, 1.0)
        for a, p, q in rates
    }
    worse |= {
        f"succeeds {p} for {q}": succeeding(p, q) for p, q in ((0.65, 0.75), (0.8, 0.85), (0.85, 0.95), (0.5, 0.6))
    }
    worse |= {f"skewed {a}, {p} for {q}": skewed(a, p, q) for a, p, q in ((0.5, 1.5, 1), (1, 2, 1), (0.3, 1.25, 1))}
    worse |= {
        f"capped, fails {p:.0%} for {q:.0%}": capped(1.0, p, q) for p, q in ((0.1, 0.05), (0.2, 0.1), (0.2, 0.05))
    }
    worse |= {f"shifted {a}": shifted(a, 0.5) for a in (-0.1, -0.3, -1.0)}
    better = {"fails 5% for 20%": failing(0.05, 0.05, 0.2, 0.0), "fails 0% for 20%": failing(0.05, 0.0, 0.2, 0.0)}
    better |= {
        "fails 0% for 10%, noise 0.1": failing(0.05, 0.0, 0.1, 0.1),
        "always +0.05": failing(0.05, 0.0, 0.0, 0.0),
    }
    better |= {f"succeeds {p} for {q}": succeeding(p, q) for p, q in ((0.9, 0.6), (1.0, 0.8))}
    better |= {f"capped, fails 0% for {q:.0%}": capped(0.0, 0.0, q) for q in (0.1, 0.2)}
    better |= {"skewed 0.5, 0.7 for 1": skewed(0.5, 0.7, 1.0)} | {
        f"shifted {a}": shifted(a, 0.5) for a in (0.5, 1.0, 2.0)
    }
    neither = {"alike": shifted(0.0, 0.5), "the same to the last bit": failing(0.0, 0.0, 0.0, 0.0)}
    unseen = {"+0.05, fails 5% for 0%": failing(0.05, 0.05, 0.0, 0.0)}
    return {
        "worse": worse,
        "better": better,
        "neither": neither,
        "worse, and 36 of 100 show nothing of it in 20": unseen,
    }


def before(challenger: np.ndarray, champion: np.ndarray, lowest: float | None, is_last: bool) -> bool | None:
    """Return the verdict of the rule that was in force until now; None: another round."""
    difference = challenger - champion
    mean, error = difference.mean(), difference.std(ddof=1) / math.sqrt(len(difference))
    return bool(mean > max(0.0, 1.64 * error)) if is_last or abs(mean) >= 3.5 * error else None


def now(challenger: np.ndarray, champion: np.ndarray, lowest: float | None, is_last: bool) -> bool | None:
    """Return the package's verdict; None: another round."""
    is_over = is_last or is_decided_paired(challenger, champion, lowest)
    return is_better_paired(challenger, champion, lowest) if is_over else None


def not_told(challenger: np.ndarray, champion: np.ndarray, lowest: float | None, is_last: bool) -> bool | None:
    """Return the package's verdict where no training returns are told."""
    return now(challenger, champion, None, is_last)


RULES = {"before": before, "now": now, "not told": not_told}


def measure(case: Case, num_runs: int, seed: int, most: int = MOST) -> dict[str, tuple[float, float]]:
    """Return, by rule, how often the challenger wins and in how many pairs that is decided, on average."""
    rng = np.random.default_rng(seed)
    wins, pairs = dict.fromkeys(RULES, 0), dict.fromkeys(RULES, 0)
    for _ in range(num_runs):
        challenger, champion = case.draw(rng, MOST)
        lowest = float(case.draw(rng, 100)[0].min())
        for name, rule in RULES.items():
            for count in range(ROUND, most + 1, ROUND):
                verdict = rule(challenger[:count], champion[:count], lowest, count == most)
                if verdict is not None:
                    wins[name] += verdict
                    pairs[name] += count
                    break
    return {name: (wins[name] / num_runs, pairs[name] / num_runs) for name in RULES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3000, help="challenges of each case")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--most", type=int, default=MOST, help="pairs that are paid for: whole rounds of 5, 20 at most")
    arguments = parser.parse_args()
    print(f"{datetime.date.today()}, NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(f"{arguments.runs} challenges a case, of {arguments.most} pairs at most, seed {arguments.seed}")
    print(f"challenger wins, pairs; {', '.join(RULES)}")
    for title, cases in battery().items():
        print(f"\n{title}")
        found = {
            name: measure(case, arguments.runs, arguments.seed + i, arguments.most)
            for i, (name, case) in enumerate(cases.items())
        }
        for name, by_rule in found.items():
            told = "  ".join(f"{wins:6.1%} {pairs:5.1f}" for wins, pairs in by_rule.values())
            print(f"{name:52s} {cases[name].gain:+7.2f}  {told}")
        for name in RULES:
            wins, pairs = np.array([by_rule[name] for by_rule in found.values()]).T
            print(
                f"  {name:9s} wins {wins.mean():6.1%} on average, {wins.max():6.1%} at most; pairs {pairs.mean():5.1f}"
            )


if __name__ == "__main__":
    main()

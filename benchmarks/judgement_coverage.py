"""Do the reported 95 % intervals hold? Champions of short runs, each played again on 1,000 fresh episodes.

    python benchmarks/judgement_coverage.py --out coverage.jsonl          # all, resumable
    python benchmarks/judgement_coverage.py --out coverage.jsonl --only Catch

Each of 40 runs is asked to go on four times; every time it ends, its champion, its report of 100 episodes and their
interval are one case. The mean of 1,000 episodes has an error of its own: an exact interval holds it in 93.8 % of
cases, which is what the count is tested against.
"""

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import gymnasium as gym
from judgement_envs import make_env
from scipy import stats

ENVS = ("Identity", "Catch", "FrozenLake", "Blackjack", "CartPole")
RUNS_PER_ENV, CHAMPIONS_PER_RUN = 8, 5
STEPS_BETWEEN = 2_500
REPORT_EPISODES, CHECK_EPISODES = 100, 1_000
NUM_ENVS = 25
SETTINGS = {"hidden_units": (64,), "train_frequency": 4, "learning_rate": 1e-3, "epsilon_decay_steps": 5_000}
EXPECTED = 2 * stats.norm.cdf(stats.norm.ppf(0.975) / math.sqrt(1 + REPORT_EPISODES / CHECK_EPISODES)) - 1


def champions(name, seed):
    """Yield one record for each champion of a run."""
    import keras

    from tensor_optix import RLOptimizer, evaluate
    from tensor_optix.presets import make_agent, make_pipeline

    keras.backend.clear_session()

    def make():
        return make_env(name)

    agent = make_agent(make, "dqn", seed=seed, **SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = make_pipeline(make, agent, window_size=100, seed=seed)
        trainer = RLOptimizer(
            agent,
            pipeline,
            checkpoint_dir=folder,
            seed=seed,
            max_env_steps=STEPS_BETWEEN,
            report_episodes=REPORT_EPISODES,
        )
        for number in range(CHAMPIONS_PER_RUN):
            started = time.perf_counter()
            result = trainer.run()
            low, high = result.confirmed_interval
            fresh = gym.vector.SyncVectorEnv([make] * NUM_ENVS)
            checked = evaluate(agent, fresh, CHECK_EPISODES, seed=1_000_000 + 100 * seed + number)
            fresh.close()
            yield {
                "env": name,
                "seed": seed,
                "champion": number,
                "mean": result.confirmed_mean,
                "low": low,
                "high": high,
                "checked": checked.mean,
                "checked_sd": float(checked.returns.std()),
                "covered": bool(low <= checked.mean <= high),
                "seconds": round(time.perf_counter() - started, 1),
            }


def summary(records):
    """Return the coverage, and the p-value of a binomial test against what exact intervals would show."""
    covered = sum(record["covered"] for record in records)
    return {
        "champions": len(records),
        "covered": covered,
        "expected_share": round(float(EXPECTED), 4),
        "p_value": float(stats.binomtest(covered, len(records), EXPECTED).pvalue),
        "by_env": {
            env: [sum(r["covered"] for r in records if r["env"] == env), sum(r["env"] == env for r in records)]
            for env in ENVS
        },
        "constant_reports": sum(record["low"] == record["high"] for record in records),
        "constant_reports_missed": sum(record["low"] == record["high"] and not record["covered"] for record in records),
    }


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=ENVS)
    parser.add_argument("--limit", type=int, default=10_000, help="runs of this call at most")
    arguments = parser.parse_args()
    done = {(record["env"], record["seed"]) for record in read(arguments.out)}
    runs = [(env, seed) for seed in range(RUNS_PER_ENV) for env in ENVS if arguments.only in (None, env)]
    for env, seed in [run for run in runs if run not in done][: arguments.limit]:
        records = list(champions(env, seed))
        with arguments.out.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        print(env, seed, [(round(r["mean"], 2), round(r["checked"], 2), r["covered"], r["seconds"]) for r in records])
    print(json.dumps(summary(read(arguments.out)), indent=1))


if __name__ == "__main__":
    main()

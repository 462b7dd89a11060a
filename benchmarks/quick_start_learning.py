"""Does the Quick Start learn, stop by itself, and tell the truth about what it reached?

Runs it on several seeds, each in a process of its own, then plays the agent it left in 100 greedy
episodes that the run never saw. One line a seed, as it ends; with --json also into a file.

    python benchmarks/quick_start_learning.py --env CartPole-v1 --seeds 10
    python benchmarks/quick_start_learning.py --env Acrobot-v1 --seeds 5
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

GOALS = {"CartPole-v1": (475.0, 400_000), "Acrobot-v1": (-100.0, 600_000)}
"""Mean return to reach, and environment steps to reach it in."""

WORKER = Path(__file__).with_name("quick_start.py")
HEADING = (
    f"{'seed':>4}  {'reason':8} {'training':>9} {'evaluation':>10} {'diagnosis':>9} {'report':>8} {'said':>8} "
    f"{'checked':>8} {'s':>6}"
)


def run_seed(env_id, seed, max_env_steps):
    """Return the outcome of one run, or an outcome that says how it failed."""
    command = [sys.executable, str(WORKER), env_id, "--seed", str(seed), "--check-episodes", "100"]
    command += ["--max-env-steps", str(max_env_steps)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=quiet)
    if done.returncode:
        return {"seed": seed, "reason": "failed", "error": done.stderr[-2000:]}
    return json.loads(done.stdout.splitlines()[-1])


def line_of(outcome):
    if outcome["reason"] == "failed":
        return f"{outcome['seed']:>4}  failed   {outcome['error'].strip().splitlines()[-1]}"
    steps = outcome["env_steps_by_use"]
    return (
        f"{outcome['seed']:>4}  {outcome['reason']:8} {steps['training']:>9,} {steps['evaluation']:>10,} "
        f"{steps['diagnosis']:>9,} "
        f"{steps['report']:>8,} {outcome['reported_mean']:>8.2f} {outcome['checked_mean']:>8.2f} "
        f"{outcome['seconds']:>6.0f}"
    )


def is_met(outcome, goal, max_env_steps):
    """Tell whether the run stopped by itself, within the steps, with an agent that is good enough."""
    if outcome["reason"] not in ("trained", "target"):
        return False
    steps = outcome["env_steps_by_use"]
    return outcome["checked_mean"] >= goal and sum(steps.values()) - steps["report"] <= max_env_steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=sorted(GOALS), default="CartPole-v1")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--json", type=Path, help="file for the outcomes, rewritten after each run")
    arguments = parser.parse_args()
    goal, max_env_steps = GOALS[arguments.env]
    outcomes = []
    print(f"{arguments.env}, {datetime.date.today()}, env steps by use; mean returns of 100 greedy episodes\n{HEADING}")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for outcome in pool.map(lambda seed: run_seed(arguments.env, seed, max_env_steps), seeds):
            outcomes.append(outcome)
            print(line_of(outcome), flush=True)
            if arguments.json:
                document = {"env": arguments.env, "date": str(datetime.date.today()), "outcomes": outcomes}
                arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    finished = [outcome for outcome in outcomes if outcome["reason"] != "failed"]
    num_met = sum(is_met(outcome, goal, max_env_steps) for outcome in outcomes if outcome in finished)
    print(
        f"\nStopped by itself within {max_env_steps:,} env steps, at {goal:g} or better: {num_met} of {len(outcomes)}"
    )
    if finished:
        print(f"Median training steps: {statistics.median(outcome['env_steps'] for outcome in finished):,.0f}")
        print("Versions:", ", ".join(f"{name} {version}" for name, version in finished[0]["versions"].items()))


if __name__ == "__main__":
    main()

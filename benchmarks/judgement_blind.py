"""How the plateau rule of an earlier commit does on curves logged after it, and on those it was made with.

    python benchmarks/judgement_blind.py                  # benchmarks/results/judgement_blind.json

Needs the repository's history: the library of each commit is checked out beside, and judged by the scripts of now.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
RESULT = HERE / "results" / "judgement_blind.json"
FIRST_TEN = [
    *("Acrobot", "Blackjack", "CartPole", "Catch", "CliffWalking", "FrozenLake", "Identity", "LunarLander"),
    *("MountainCarContinuous", "Pendulum"),
]
NEXT_SIX = ["Breakout", "InvertedPendulum", "LunarLanderContinuous", "Obstacles", "Reacher", "Taxi"]
LAST_SEVEN = ["DistShift", "EmptyRoom", "FrozenMap", "InvertedDoublePendulum", "LavaGap", "Pusher", "Swimmer"]
REPLAYS = {
    # what the rule had seen of the curves: (commit, environments)
    "made on these": ("4addae4", FIRST_TEN),
    "logged after the rule of 4addae4": ("4addae4", NEXT_SIX),
    "logged after the rule of 2346e7c": ("2346e7c", LAST_SEVEN),
}


def replay(environments):
    """Return the figures of the library that is imported, on all curves of some environments."""
    from judgement import LOOP, OURS, load_runs, table_of

    table = table_of(load_runs(), environments)
    return {
        "runs": table["runs"],
        "figures": {rule: table["rules"][rule] for rule in (OURS, LOOP)},
        "learned_called_stalled": table["learned_called_stalled"],
    }


def replay_at(commit, environments):
    """Do so in a process of its own, with the library of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(HERE.parent), folder], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "--quiet", commit, "--", "tensor_optix"], check=True)
        command = [sys.executable, __file__, "--worker", *environments]
        library = {**os.environ, "PYTHONPATH": folder}
        return json.loads(subprocess.run(command, env=library, check=True, capture_output=True, text=True).stdout)


def main():
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(replay(sys.argv[2:]), default=float))
        return
    found = {}
    for seen, (commit, environments) in REPLAYS.items():
        found[seen] = {"commit": commit, "environments": environments, **replay_at(commit, environments)}
        print(seen, {name: round(value[0], 3) for name, value in next(iter(found[seen]["figures"].values())).items()})
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

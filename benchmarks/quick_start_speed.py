"""How much faster the Quick Start is than in the first release.

Installs tensor-optix 0.1.0 from PyPI into an environment of its own (with the TensorFlow, Keras,
Gymnasium and NumPy that this one has), then runs both in turn, each time in a fresh process: 200
windows of 200 steps, all defaults on, compiling counted, imports not. Env steps per second are
training steps over the whole wall time of the run, which here includes greedy evaluation, the final
report's 100 episodes and all saving. As many runs in this environment tell where the time goes.

    python benchmarks/quick_start_speed.py --repeats 7 --json benchmarks/results/quick_start_speed.json
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
FIRST_RELEASE = "tensor-optix==0.1.0"
SAME_VERSIONS = ("tensorflow", "keras", "gymnasium", "numpy")


def python_of_first_release():
    """Return the interpreter of an environment that holds the first release, made where missing."""
    folder = HERE / ".venvs" / "first-release"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "done").exists():
        print(f"Installing {FIRST_RELEASE} into {folder.relative_to(HERE.parent)} ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pins = [f"{name}=={importlib.metadata.version(name)}" for name in SAME_VERSIONS]
        subprocess.run([python, "-m", "pip", "install", "--quiet", FIRST_RELEASE, *pins], check=True)
        (folder / "done").touch()
    return str(python)


def last_line(python, script, *arguments, is_first_release=False):
    """Return the JSON that a script in a fresh process prints last."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if is_first_release:
        environment.pop("PYTHONPATH", None)
    command = [python, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--windows", type=int, default=200, help="windows of 200 steps")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    old_python = python_of_first_release()
    speeds = {"0.1.0": [], "now": []}
    for repeat in range(arguments.repeats):
        task = ("CartPole-v1", "--seed", repeat, "--max-windows", arguments.windows)
        old = last_line(old_python, "quick_start.py", *task, is_first_release=True)
        now = last_line(sys.executable, "quick_start.py", *task)
        for name, run in (("0.1.0", old), ("now", now)):
            speeds[name].append(run["env_steps"] / run["seconds"])
        before, after = speeds["0.1.0"][-1], speeds["now"][-1]
        print(
            f"run {repeat}: 0.1.0 {before:,.0f}, now {after:,.0f} env steps/s: {after / before:.1f} times", flush=True
        )
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = [now / old for now, old in zip(speeds["now"], speeds["0.1.0"], strict=True)]
    profiled = last_line(
        sys.executable, "quick_start_profile.py", "--max-windows", arguments.windows, "--runs", arguments.repeats
    )
    figures = {
        "date": str(datetime.date.today()),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"0.1.0": old["versions"], "now": now["versions"]},
        "env_steps_per_second": speeds,
        "median_env_steps_per_second": medians,
        "median_ratio": statistics.median(ratios),
        "shares_of_wall_time": profiled["shares"],
    }
    report(figures)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def report(figures):
    """Print the figures for a reader."""
    medians = figures["median_env_steps_per_second"]
    print(f"\nMedian env steps/s: 0.1.0 {medians['0.1.0']:,.0f}, now {medians['now']:,.0f}")
    print(f"Median ratio of runs side by side: {figures['median_ratio']:.1f}")
    print("Share of wall time (runs of their own, sampled):")
    for name, share in figures["shares_of_wall_time"].items():
        print(f"  {name:10} {share:6.1%}")
    print(f"{figures['date']}, {figures['machine']}")
    for name, versions in figures["versions"].items():
        print(f"  {name}: " + ", ".join(f"{package} {version}" for package, version in versions.items()))


if __name__ == "__main__":
    main()

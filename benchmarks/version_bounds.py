"""Installs the oldest or the newest versions that pyproject.toml allows, beside a wheel of this checkout; tries them.

Run once a release, and where a bound of pyproject.toml changes::

    python benchmarks/version_bounds.py oldest          # makes benchmarks/.venvs/oldest, takes some minutes
    python benchmarks/version_bounds.py newest --write

A fresh venv gets the package from a wheel: with ``oldest`` the lowest version of each dependency (of TensorFlow its CPU
package), with ``newest`` whatever pip chooses, so that a plain install is tried, too. In it a run of each algorithm is
trained, loaded, evaluated and exported, far from the checkout; then the fast tests are run, but for those that need
what the oldest versions do not have. Results: ``benchmarks/results/oldest_versions.json`` and ``newest_versions.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENVS = ROOT / "benchmarks" / ".venvs"
RESULTS = ROOT / "benchmarks" / "results"
TEST_TOOLS = (
    "box2d",
    "hypothesis",
    "matplotlib",
    "pillow",
    "pygame-ce",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "pyyaml",
    "safetensors",
    "websockets",
)

NEVER_RUN = {"tests/test_typing": "type checkers are no part of what users install"}
NOT_RUN = {
    "tests/test_benchmarks": "benchmarks run with today's versions",
    "tests/test_examples": "examples run with today's versions",
    "tests/test_adapters/test_observation_spaces.py": "makes Discrete spaces with a dtype: Gymnasium 1.0 knows none",
    "tests/test_adapters/test_load_and_play.py": "makes Discrete spaces with a dtype: Gymnasium 1.0 knows none",
}
NOT_YET_THERE = {"AutoresetMode": "names Gymnasium's autoreset modes, which are there from 1.1 on"}
"""Names that keep a test file from being imported."""

DESELECTED = {
    "test_space_json and test_a_space_comes_back_as_it_was": "makes Discrete spaces with a dtype",
    "test_distributions and adds_up_to_one": "uses numpy.trapezoid, which is there from NumPy 2 on",
    "test_fast_policy and exponential": "compares TensorFlow's tensors with infinities, which NumPy 1.26 cannot",
    "test_dqn and test_the_gradient_is_that_of_the_loss": "hands TensorFlow 2.18 two kinds of floats",
    "test_nonparametric_tests and scipy_says": "calls scipy.stats with a mode that SciPy 1.12 does not know",
    "test_env_state and normalised_together": "vector NormalizeReward of Gymnasium 1.0 carries a sum over resets",
}

TRIAL = """
import json, sys, tempfile
import numpy as np, tensorflow as tf
import tensor_optix as tx

reached = {}
for algorithm, env, steps in (("policy_gradient", "CartPole-v1", 20_000), ("ppo", "CartPole-v1", 20_000),
                              ("dqn", "CartPole-v1", 5_000), ("sac", "Pendulum-v1", 1_000)):
    agent = tx.make_agent(env, algorithm, seed=0)
    folder = tempfile.mkdtemp()
    loop = tx.RLOptimizer(agent, tx.make_pipeline(env, agent), checkpoint_dir=folder, max_env_steps=steps,
                          report_episodes=5, seed=0)
    result = loop.run()
    loaded = tx.load_agent(result.run_dir)
    same = tx.evaluate(loaded, env, num_episodes=5).mean == tx.evaluate(agent, env, num_episodes=5).mean
    model = loaded.policy_model()
    model.export(folder + "/saved_model", verbose=False)
    observation = np.zeros((1, *model.inputs[0].shape[1:]), np.float32)
    saved = tf.saved_model.load(folder + "/saved_model")
    served = saved.serve(observation)
    exported = bool(np.allclose(np.asarray(served), np.asarray(model(observation))))
    reached[algorithm] = {"reason": result.reason, "mean": result.confirmed_mean, "loads": same, "exports": exported}
print(json.dumps(reached))
"""


def dependencies() -> dict[str, str]:
    """Return the lowest version of each dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return dict(re.fullmatch(r"([\w-]+)>=([\w.]+)", line).groups() for line in project["dependencies"])


def package_of(name: str, which: str) -> str:
    """Return the package that brings a dependency."""
    return "tensorflow-cpu" if (name, which) == ("tensorflow", "oldest") else name


def install(folder: Path, which: str) -> list[str]:
    """Make the venv, and return how its Python is called."""
    venv.create(folder, with_pip=True, clear=True)
    python = [str(folder / "bin" / "python")]
    pip = [*python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    with tempfile.TemporaryDirectory() as wheels:
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, str(ROOT)], check=True)
        wheel = [str(path) for path in Path(wheels).glob("tensor_optix-*.whl")]
        if which == "oldest":
            pins = [f"{package_of(name, which)}=={version}" for name, version in dependencies().items()]
            subprocess.run([*pip, "install", *pins], check=True)
            wheel = ["--no-deps", *wheel]
        subprocess.run([*pip, "install", *wheel], check=True)
    return python


def add_test_tools(python: list[str]) -> None:
    """Install what the tests need; the dependencies stay as they are."""
    freeze = subprocess.run([*python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    kept = [line for line in freeze.splitlines() if "==" in line]
    pip = [*python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, *kept, *TEST_TOOLS], check=True)


def installed(python: list[str]) -> dict[str, str]:
    """Return every package of the venv but pip's own, before the tests' tools come."""
    listed = subprocess.run([*python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True)
    versions = {package["name"].lower().replace("_", "-"): package["version"] for package in json.loads(listed.stdout)}
    return {name: version for name, version in versions.items() if name not in ("pip", "setuptools", "tensor-optix")}


def trial(python: list[str]) -> dict[str, object]:
    """Train, load, evaluate and export with the wheel, far from the checkout; also ask the command for help."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*python, "-c", TRIAL], cwd=folder, capture_output=True, text=True)
        command = subprocess.run([str(Path(python[0]).parent / "tensor-optix"), "train", "--help"], capture_output=True)
    if done.returncode:
        sys.exit(done.stderr)
    return {**json.loads(done.stdout.splitlines()[-1]), "command": command.returncode == 0}


def not_run(which: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the files and the tests that are left out, with the reasons."""
    if which == "newest":
        return NEVER_RUN, {}
    tests = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py"))}
    newer = {
        path.relative_to(ROOT).as_posix(): reason
        for path, text in tests.items()
        for name, reason in NOT_YET_THERE.items()
        if name in text
    }
    return NEVER_RUN | NOT_RUN | newer, DESELECTED


def run_tests(python: list[str], which: str, tests: list[str], jobs: int) -> dict[str, object]:
    """Run the fast tests of the checkout."""
    files, words = not_run(which)
    left_out = [f"--ignore={path}" for path in files]
    deselected = ["-k", " and ".join(f"not ({word})" for word in words)] if words else []
    command = [*python, "-m", "pytest", "-q", "-n", str(jobs), "--dist", "loadfile", "--timeout", "1200"]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, *left_out, *deselected, *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # some tests press Ctrl-C
    )
    print(done.stdout[-3000:], done.stderr[-2000:])
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error|errors|skipped)", done.stdout)}
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return {**counts, "tests": tests, "failures": failed, "seconds": round(time.perf_counter() - started)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("which", choices=("oldest", "newest"), help="which versions")
    parser.add_argument("--venv", type=Path, help="where the venv is made; default: below benchmarks/.venvs")
    parser.add_argument("--keep", action="store_true", help="use the venv as it is")
    parser.add_argument("--tests", nargs="*", default=["tests"], help="which tests to run; none: give no value")
    parser.add_argument("--jobs", type=int, default=2, help="processes that run tests")
    parser.add_argument("--write", action="store_true", help="write the results into benchmarks/results")
    options = parser.parse_args()
    folder = options.venv or VENVS / options.which
    python = [str(folder / "bin" / "python")] if options.keep else install(folder, options.which)
    packages = installed(python)
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: packages[name] for name in (package_of(name, options.which) for name in dependencies())},
        "packages": len(packages),
        "trial": trial(python),
    }
    if options.tests:
        add_test_tools(python)
        result["fast_tests"] = run_tests(python, options.which, options.tests, options.jobs)
        files, words = not_run(options.which)
        result["not_run"] = files | words
    print(json.dumps(result, indent=2))
    if options.write:
        path = RESULTS / f"{options.which}_versions.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if result.get("fast_tests", {}).get("failures") else 0)


if __name__ == "__main__":
    main()

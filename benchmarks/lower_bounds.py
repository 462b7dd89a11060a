"""Installs the oldest versions that pyproject.toml allows, beside a wheel of this checkout, and tries them.

Run once a release::

    python benchmarks/lower_bounds.py           # makes benchmarks/.venvs/lower_bounds, takes some minutes

A venv gets the oldest TensorFlow (its CPU package), Keras, Gymnasium and all else, and the package from a wheel. In it
a run of each algorithm is trained, loaded, evaluated and exported, then the fast tests are run, but for those that need
what the oldest versions do not have. Results: ``benchmarks/results/lower_bounds.json``.
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
VENV = ROOT / "benchmarks" / ".venvs" / "lower_bounds"
RESULTS = ROOT / "benchmarks" / "results" / "lower_bounds.json"
TEST_TOOLS = ("hypothesis", "matplotlib", "pytest", "pytest-timeout", "pytest-xdist", "safetensors", "websockets")

NOT_RUN = {
    "tests/test_typing": "type checkers are no part of what users install",
    "tests/test_benchmarks": "benchmarks run with today's versions",
    "tests/test_examples": "examples run with today's versions",
    "tests/test_algorithms/test_replay/test_replay_buffer.py": "names Gymnasium's autoreset modes (from 1.1 on)",
    "tests/test_pipeline/test_batch_pipeline.py": "names Gymnasium's autoreset modes",
    "tests/test_pipeline/test_batch_pipeline_errors.py": "names Gymnasium's autoreset modes",
    "tests/test_pipeline/test_stepping/test_vector_env.py": "names Gymnasium's autoreset modes",
    "tests/test_adapters/test_load_and_play.py": "makes Discrete spaces with a dtype: Gymnasium 1.0 knows none",
}
DESELECTED = {
    "test_space_json and test_a_space_comes_back_as_it_was": "makes Discrete spaces with a dtype",
    "test_distributions and adds_up_to_one": "uses numpy.trapezoid, which is there from NumPy 2 on",
    "test_fast_policy and exponential": "compares TensorFlow's tensors with infinities, which NumPy 1.26 cannot",
    "test_dqn and test_the_gradient_is_that_of_the_loss": "hands TensorFlow 2.18 two kinds of floats",
    "test_nonparametric_tests and scipy_says": "calls scipy.stats with a mode that SciPy 1.12 does not know",
    "test_env_keeper and TestVector": "names Gymnasium's autoreset modes",
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


def oldest() -> dict[str, str]:
    """Return the lowest version of each dependency."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return dict(re.fullmatch(r"([\w-]+)>=([\w.]+)", line).groups() for line in project["dependencies"])


def install(folder: Path) -> list[str]:
    """Make the venv, and return how its Python is called."""
    venv.create(folder, with_pip=True, clear=True)
    python = [str(folder / "bin" / "python")]
    pip = [*python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    pins = [f"{'tensorflow-cpu' if name == 'tensorflow' else name}=={version}" for name, version in oldest().items()]
    subprocess.run([*pip, "install", *pins, *TEST_TOOLS], check=True)
    with tempfile.TemporaryDirectory() as wheels:
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, str(ROOT)], check=True)
        subprocess.run([*pip, "install", "--no-deps", *map(str, Path(wheels).glob("tensor_optix-*.whl"))], check=True)
    return python


def versions(python: list[str]) -> dict[str, str]:
    """Return what is installed of what the package needs."""
    names = ["tensorflow-cpu" if name == "tensorflow" else name for name in oldest()]
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names}}}))"
    return json.loads(subprocess.run([*python, "-c", code], check=True, capture_output=True, text=True).stdout)


def trial(python: list[str]) -> dict[str, object]:
    """Train, load, evaluate and export with the wheel, far from the checkout; also ask the command for help."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*python, "-c", TRIAL], cwd=folder, capture_output=True, text=True)
        command = subprocess.run([str(Path(python[0]).parent / "tensor-optix"), "train", "--help"], capture_output=True)
    if done.returncode:
        sys.exit(done.stderr)
    return {**json.loads(done.stdout.splitlines()[-1]), "command": command.returncode == 0}


def run_tests(python: list[str], tests: list[str], jobs: int) -> dict[str, object]:
    """Run the fast tests of the checkout."""
    left_out = [f"--ignore={path}" for path in NOT_RUN]
    deselected = ["-k", " and ".join(f"not ({words})" for words in DESELECTED)]
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
    parser.add_argument("--venv", type=Path, default=VENV, help="where the venv is made")
    parser.add_argument("--keep", action="store_true", help="use the venv as it is")
    parser.add_argument("--tests", nargs="*", default=["tests"], help="which tests to run; none: give no value")
    parser.add_argument("--jobs", type=int, default=2, help="processes that run tests")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    python = [str(options.venv / "bin" / "python")] if options.keep else install(options.venv)
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": versions(python),
        "trial": trial(python),
        "fast_tests": run_tests(python, options.tests, options.jobs) if options.tests else None,
        "not_run": {**NOT_RUN, **DESELECTED},
    }
    print(json.dumps(result, indent=2))
    if options.write:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    failed = result["fast_tests"] and result["fast_tests"]["failures"]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

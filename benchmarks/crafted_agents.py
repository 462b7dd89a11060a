"""What becomes of agents' files that someone crafted: what runs, what it costs, what is said.

Each file is loaded by a process of its own, whose memory and time are measured from outside and held
against those of a good file. Any Keras that is allowed may read them:

    python benchmarks/crafted_agents.py --output benchmarks/results/crafted_agents.json
    python benchmarks/crafted_agents.py --interpreter OTHER/bin/python --only "Lambda"
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import crafted_architectures, crafted_states

from tensor_optix.core.storage import json_files

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
ROOT = HERE.parent

MAX_SECONDS, MAX_MEGABYTES = 5.0, 200.0
VERSIONS = (
    "import keras, numpy, tensorflow, gymnasium; "
    "print(keras.__version__, tensorflow.__version__, numpy.__version__, gymnasium.__version__)"
)


def make_good_run(folder, algorithm):
    """Make a run's folder that holds one champion, by an agent that has learned nothing yet."""
    import gymnasium as gym

    from tensor_optix import CheckpointRegistry, EvalMetrics, presets

    agent = presets.make_agent("CartPole-v1", algorithm, hidden_units=(16, 16), seed=0)
    env = gym.make("CartPole-v1")
    agent.bind(env.observation_space, env.action_space, seed=0)
    registry = CheckpointRegistry(folder)
    registry.save_state(agent.get_state(), EvalMetrics(1.0, {}, 0), agent.get_hyperparams(), background=False)
    registry.close()


def good_run(interpreter, folder, algorithm):
    """Make it in another process: what this one has taken of memory counts for those it starts."""
    code = f"import crafted_agents; crafted_agents.make_good_run({str(folder)!r}, {algorithm!r})"
    subprocess.run([interpreter, "-c", code], check=True, env={**os.environ, "PYTHONPATH": f"{HERE}:{ROOT}"})
    return folder


def change_state(run, change):
    """Change the champion's state; all seals and checksums are made anew, so they are right."""
    from harness.crafted_folders import reseal

    from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state

    snapshot = next(run.glob("snapshot_*"))
    state = read_agent_state(snapshot / "weights")
    change(state)
    write_agent_state(snapshot / "weights", state, flush=False)
    reseal(snapshot)


def with_model(config):
    text = config if isinstance(config, str) else json.dumps(config)

    def change(state):
        state.meta["architecture"]["model"] = text

    return change


def sparse(run):
    """A file that claims a terabyte and takes no room."""
    from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json

    snapshot = next(run.glob("snapshot_*"))
    path = snapshot / "weights" / "state.safetensors"
    os.truncate(path, 2**40)
    document = read_sealed_json(snapshot / "metadata.json")
    for entry in document["files"]:
        if entry["path"].endswith(path.name):
            entry["bytes"] = 2**40
    write_sealed_json(snapshot / "metadata.json", document)
    (run / "manifest.json").unlink(missing_ok=True)


def cases(precious):
    """Return what is done to a run's folder, by kind and name, and the algorithm whose run it is."""
    on_models = {
        "runs code": crafted_architectures.runs_code(precious),
        "asks for too much": crafted_architectures.asks_for_too_much(),
        "texts": crafted_architectures.as_texts(),
    }
    for kind, configs in on_models.items():
        for name, config in configs.items():
            yield kind, name, "policy_gradient", lambda run, config=config: change_state(run, with_model(config))
    on_states = {
        "spaces": (crafted_states.spaces(), "policy_gradient"),
        "structures": (crafted_states.structures(), "dqn"),
        "arrays": (crafted_states.arrays(), "policy_gradient"),
        "meta": (crafted_states.meta(), "dqn"),
    }
    for kind, (changes, algorithm) in on_states.items():
        for name, change in changes.items():
            yield kind, name, algorithm, lambda run, change=change: change_state(run, change)
    yield "files", "a sparse file of a terabyte", "policy_gradient", sparse


def watched(interpreter, arguments):
    """Run a script; return its answers, its seconds and the most megabytes that it took, seen from outside."""
    begin = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{ROOT}", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [interpreter, str(HERE / "harness" / "read_runs.py"), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = out.strip().splitlines()
    answers = json.loads(lines[-1]) if lines and process.returncode == 0 else None
    return {
        "answers": answers,
        "ended_with": process.returncode if answers is not None else f"{process.returncode}: {err[-300:]}",
        "seconds": time.monotonic() - begin,
        "megabytes": usage.ru_maxrss / 1024,
    }


def verdict(row, expects_refusal):
    bad = []
    if row["answer"] is None:
        bad.append("the process crashed")
    elif row["answer"]["forbidden"]:
        bad.append("something forbidden happened")
    elif row["answer"]["found"].startswith("NOT OURS"):
        bad.append("no error of ours")
    elif expects_refusal and not row["answer"]["found"].startswith("refused"):
        bad.append("it was loaded")
    if row["more_megabytes"] > MAX_MEGABYTES:
        bad.append("too much memory")
    if row["answer"] and row["answer"]["seconds"] > MAX_SECONDS:
        bad.append("too slow")
    return bad


LOADED_WITHOUT_HARM = ("a module in build_config", "a loss in compile_config", "an initial constant of a million")
"""What is not looked at, or does no harm: the rest is a model like any other."""


class Measurement:
    """Loads crafted folders, a few in one process, and those that break a bound once more by themselves.

    Args:
        interpreter: The Python that loads.
        folder: Where the folders are made.
    """

    def __init__(self, interpreter, folder):
        self._interpreter, self._folder = interpreter, folder
        self._precious = folder / "outside" / "precious"
        self._precious.parent.mkdir()
        self._precious.write_text("precious")
        self._good = {name: good_run(interpreter, folder / f"good-{name}", name) for name in ("policy_gradient", "dqn")}
        self.base = watched(interpreter, self._good.values())

    def cases(self):
        return cases(str(self._precious))

    def together(self, some):
        rows = self._rows(some)
        if len(some) > 1 and any(row["not_as_promised"] for row in rows):
            rows = [row for case in some for row in self._rows([case])]
        return rows

    def _rows(self, some):
        runs = []
        for number, (_, _, algorithm, change) in enumerate(some):
            run = self._folder / f"run-{number}"
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(self._good[algorithm], run)
            change(run)
            runs.append(run)
        seen = watched(self._interpreter, [*self._good.values(), *runs])
        answers = seen["answers"] or [None] * len(some)
        more_megabytes = round(seen["megabytes"] - self.base["megabytes"])
        rows = []
        for (kind, name, _, _), answer in zip(some, answers, strict=True):
            row = {"kind": kind, "name": name, "answer": answer, "more_megabytes": more_megabytes}
            row |= {"ended_with": seen["ended_with"]} if answer is None else {}
            expects_refusal = kind != "meta" and name not in LOADED_WITHOUT_HARM
            row["not_as_promised"] = verdict(row, expects_refusal)
            if self._precious.read_text() != "precious":
                row["not_as_promised"].append("a file outside was changed")
            rows.append(row)
        return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interpreter", default=sys.executable, help="the Python that reads the files")
    parser.add_argument("--only", help="only cases whose name holds this")
    parser.add_argument("--together", type=int, default=8, help="how many files one process loads")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    json_files.MAX_JSON_PARTS = sys.maxsize  # who crafts keeps to no bound; the processes that read do
    versions = subprocess.run([args.interpreter, "-c", VERSIONS], capture_output=True, text=True, check=True)
    names = ("keras", "tensorflow", "numpy", "gymnasium")
    with tempfile.TemporaryDirectory() as folder:
        measurement, rows = Measurement(args.interpreter, Path(folder)), []
        wanted = [case for case in measurement.cases() if not args.only or args.only in f"{case[0]}: {case[1]}"]
        for start in range(0, len(wanted), args.together):
            rows += measurement.together(wanted[start : start + args.together])
            for row in rows[start:]:
                print(json.dumps(row), flush=True)
        base = measurement.base
    found = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
        "versions": dict(zip(names, versions.stdout.split()[-4:], strict=True)),
        "good_file": {"seconds": round(base["seconds"], 1), "megabytes": round(base["megabytes"])},
        "cases": len(rows),
        "most_megabytes_more": max(row["more_megabytes"] for row in rows),
        "most_seconds": max(row["answer"]["seconds"] for row in rows if row["answer"]),
        "not_as_promised": [row for row in rows if row["not_as_promised"]],
        "all": rows,
    }
    print(json.dumps({name: value for name, value in found.items() if name != "all"}, indent=1))
    if args.output:
        known = json.loads(args.output.read_text()) if args.output.exists() else {}
        key = f"keras {found['versions']['keras']}, tensorflow {found['versions']['tensorflow']}"
        args.output.write_text(json.dumps({**known, key: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What becomes of files that someone crafted: part of `durability.py`.

Thousands of fuzzed manifests, headers and other files of a run's folder, and some made by hand with an
aim. Whatever is read must be refused with an error of ours, or be something whole; meanwhile an audit
hook watches that no process is started, no connection made, nothing outside the folder opened for
writing, and none of the files opened that the crafted ones point at.
"""

import json
import logging
import resource
import shutil
import zipfile

from durability_damage import RUN, Told, cut_run, digest_of_policy
from durability_runs import Job, in_a_process, make_run
from harness.crafted_files import craft
from harness.crafted_folders import crafted_by_hand, lambda_file
from harness.watch import PRECIOUS, Watch
from hypothesis import Phase, given, settings, strategies

from tensor_optix import CheckpointRegistry, TFAgent, load_agent
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.storage.run_folder import RunFolder, read_run_json
from tensor_optix.core.storage.state_files import read_agent_state
from tensor_optix.exceptions import TensorOptixError


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ---------------------------------------------------------------- by the thousand


def fuzz(job):
    """Read ``job.case["fuzzed"]`` crafted files, each in the place of a good one."""
    logging.disable(logging.CRITICAL)
    run = job.folder / RUN
    files = [path for path in sorted(run.rglob("*")) if path.suffix in (".json", ".safetensors")]
    files = [path for path in files if path.name[0] != "." and path.name != "run.owner.json"]
    weighed = [*files, *[path for path in files if path.name in ("manifest.json", "state.safetensors")] * 5]
    good_states = {digest_of_arrays(read_agent_state(path.parent)) for path in files if path.name == "state.json"}
    counts = {"read": 0, "refused": 0, "manifests": 0, "headers": 0, "not_whole": 0}
    other_errors = []
    watch = Watch(job.folder)

    @settings(max_examples=job.case["fuzzed"], database=None, derandomize=True, deadline=None, phases=[Phase.generate])
    @given(strategies.data())
    def read_crafted(data):
        def draw(number):
            return data.draw(strategies.integers(0, number - 1))

        path = weighed[draw(len(weighed))]
        good = path.read_bytes()
        craft(draw, path)
        counts["read"] += 1
        counts["manifests"] += path.name == "manifest.json"
        counts["headers"] += path.suffix == ".safetensors"
        try:
            with watch.on():
                counts["not_whole"] += not is_whole(run, path, good_states)
        except TensorOptixError:
            counts["refused"] += 1
        except Exception as error:
            other_errors.append(f"{path.name}: {type(error).__name__}: {error}"[:200])
        finally:
            path.write_bytes(good)

    before = megabytes()
    read_crafted()
    return {**counts, "other_errors": other_errors, "forbidden": watch.seen, "grew_by_megabytes": megabytes() - before}


def digest_of_arrays(state):
    return hash(tuple((name, array.tobytes()) for name, array in sorted(state.arrays.items())))


def is_whole(run, path, good_states):
    """Read what a file belongs to; tell whether arrays, if any came of it, are ones that were once saved."""
    if path.name == "run.json":
        read_run_json(run)
    elif "checkpoint" in path.parts:
        found = CheckpointSlots(run).read()
        if found is not None:
            return all(digest_of_arrays(state) in good_states for state in found[1].values())
    else:
        registry = CheckpointRegistry(run, read_only=True)
        if registry.best is not None:
            return digest_of_arrays(registry.load_state(registry.best.snapshot_id)) in good_states
    return True


# ---------------------------------------------------------------- by hand


def try_one(job):
    """Let everything that reads a run's folder read the crafted one."""
    import keras  # noqa: F401  before the watch: it opens and imports much

    load_agent(job.folder.with_name("crafted-source") / RUN)
    known, keras_file = job.case["known"], job.folder.parent / "crafted.keras"
    logging.disable(logging.NOTSET)
    run, found, watch, told = job.folder / RUN, {}, Watch(job.folder), Told()
    before = megabytes()
    readers = {
        "load_agent": lambda: digest_of_policy(load_agent(run)) in known or "not whole",
        "resume": lambda: make_run(job.case["run"], job.folder, 1, 1)[2].run(resume=run).reason,
        "checkpoint": lambda: CheckpointSlots(run).read() is not None,
        "run.json": lambda: bool(read_run_json(run)),
        "hold": lambda: RunFolder.open(run).close(),
    }
    if job.case["name"].startswith(".keras"):
        readers["load_weights"] = lambda: TFAgent.load_weights(make_run(job.case["run"], run, 1, 1)[0], str(keras_file))
    for name, read in readers.items():
        try:
            with watch.on():
                found[name] = f"read: {read()}"
        except TensorOptixError as error:
            found[name] = f"refused: {type(error).__name__}: {error}".replace(str(job.folder.parent), "...")[:300]
        except Exception as error:
            found[name] = f"NOT OURS: {type(error).__name__}: {error}"[:300]
    first = told.lines[0].replace(str(job.folder.parent), "...")[:200] if told.lines else ""
    return {
        "found": found,
        "first_warning": first,
        "forbidden": watch.seen,
        "grew_by_megabytes": round(megabytes() - before),
    }


def crafted(args, folder, note, say):
    """Fuzz a run's files, then try what was crafted by hand."""
    case = {"algorithm": "tf_agent", "num_envs": 1, "tuner": "none", "env_steps": 1500, "max_snapshots": 3}
    source = Job(case, folder / "crafted-source")
    known = list(in_a_process(source, cut_run)["whole"].values())
    fuzzed = in_a_process(Job({"fuzzed": args.fuzzed}, copy_of(source, folder / "fuzzed")), fuzz)
    say({name: value for name, value in fuzzed.items() if name != "other_errors"})
    outside = folder / "outside"
    outside.mkdir()
    (outside / PRECIOUS).write_text(PRECIOUS)
    lambdas = in_a_process(Job({}, folder / "lambdas"), lambda job: [str(part) for part in lambda_file(folder)][:1])
    keras_file = folder / "crafted.keras"
    with zipfile.ZipFile(lambdas[0]) as archive:
        lambda_config = json.loads(archive.read("config.json"))
    rows = []
    for name, change in crafted_by_hand(outside, keras_file, lambda_config).items():
        job = Job({"name": name, "run": case, "known": known}, copy_of(source, folder / "by-hand"))
        change(job.folder / RUN)
        row = {"what": name, **in_a_process(job, try_one)}
        is_untouched = [path.read_text() for path in outside.iterdir()] == [PRECIOUS]
        row["outside_untouched"] = is_untouched and not list(folder.glob(f"{PRECIOUS}*"))
        rows.append(row)
        say(row)
        bad = [row for row in rows if row["forbidden"] or not row["outside_untouched"] or is_bad(row)]
        note({"fuzzed": fuzzed, "by_hand": len(rows), "not_as_promised": [*bad, *fuzz_failures(fuzzed)], "all": rows})


def is_bad(row):
    answers = list(row["found"].values())
    return row["grew_by_megabytes"] > 300 or any("NOT OURS" in a or "not whole" in a for a in answers)


def fuzz_failures(fuzzed):
    return [fuzzed] if fuzzed["other_errors"] or fuzzed["forbidden"] or fuzzed["not_whole"] else []


def copy_of(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source.folder, target)
    return target

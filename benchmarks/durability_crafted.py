"""What becomes of files that someone crafted: part of `durability.py`.

Thousands of fuzzed manifests, headers and other files of a run's folder, and some made by hand with an
aim. Whatever is read must be refused with an error of ours, or be something whole; meanwhile an audit
hook watches that no process is started, no connection made, nothing outside the folder opened for
writing, and none of the files opened that the crafted ones point at.
"""

import contextlib
import json
import logging
import os
import resource
import shutil
import sys
import zipfile

from durability_damage import RUN, Told, cut_run, digest_of_policy
from durability_runs import Job, in_a_process, make_run
from harness.crafted_files import craft
from hypothesis import Phase, given, settings, strategies

from tensor_optix import CheckpointRegistry, TFAgent, load_agent
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.run_folder import RunFolder, read_run_json
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.exceptions import TensorOptixError

PRECIOUS = "precious"
_FORBIDDEN_EVENTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")
_FORBIDDEN_EVENTS += ("pickle.find_class", "urllib.Request", "webbrowser.open", "shutil.rmtree")
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Watch:
    """Notes what must never happen while a crafted file is read. Installed once, for good."""

    def __init__(self, inside):
        self.seen, self._is_on, self._inside = [], False, os.path.realpath(inside)
        sys.addaudithook(self._note)

    @contextlib.contextmanager
    def on(self):
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def _note(self, event, arguments):
        if not self._is_on:
            return
        if event == "shutil.rmtree" and os.path.realpath(arguments[0]).startswith(self._inside + os.sep):
            return
        if event in _FORBIDDEN_EVENTS:
            self.seen.append(f"{event} {arguments!r:.100}")
        elif event == "open" and isinstance(arguments[0], (str, bytes)):
            name, flags = os.fsdecode(arguments[0]), arguments[2] or 0
            if flags & os.O_NOFOLLOW and os.path.islink(name):  # the system refuses
                return
            is_inside = os.path.realpath(name).startswith(self._inside + os.sep)
            writes = bool(flags & _WRITE_FLAGS) or any(c in str(arguments[1]) for c in "wax+")
            if PRECIOUS in os.path.realpath(name) or name.startswith("/etc/") or (writes and not is_inside):
                self.seen.append(f"open {name}")


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


def layer(class_name, module="keras.layers", **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def sequential(*layers, inputs=4):
    start = layer("InputLayer", batch_shape=[None, inputs], dtype="float32", name="in")
    return layer("Sequential", "keras", name="s", trainable=True, layers=[start, *layers])


def lambda_file(folder):
    """Return a real ``.keras`` file with a Lambda layer that writes a file where it is run, and its configuration."""
    import keras

    target = str(folder / f"{PRECIOUS}-written-by-lambda")

    def harm(x, target=target):
        with open(target, "w") as file:
            file.write("harm")
        return x

    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    model.add(keras.layers.Lambda(harm, output_shape=(2,)))
    path = folder / "crafted.keras"
    model.save(path)
    (folder / f"{PRECIOUS}-written-by-lambda").unlink(missing_ok=True)
    with zipfile.ZipFile(path) as archive:
        return path, json.loads(archive.read("config.json"))


def best_of(run):
    return run / f"snapshot_{CheckpointRegistry(run, read_only=True).best.snapshot_id}"


def with_model(config):
    """Return what replaces the model in the champion's configuration, all seals and checksums made anew."""

    def change(run):
        best = best_of(run)
        state = read_agent_state(best / "weights")
        state.meta["architecture"]["model"] = config if isinstance(config, str) else json.dumps(config)
        write_agent_state(best / "weights", state)
        reseal(best)

    return change


def reseal(snapshot):
    """List a snapshot's files as they are now, and let the manifest forget what it knew of them."""
    from tensor_optix.core.storage.snapshot_files import _list_files

    document = read_sealed_json(snapshot / "metadata.json")
    (snapshot / "metadata.json").unlink()
    document["files"] = list(_list_files(snapshot))
    write_sealed_json(snapshot / "metadata.json", document)
    (snapshot.parent / "manifest.json").unlink()


def in_json(name, **changes):
    """Return what changes a sealed document, seal made anew."""

    def change(run):
        path = best_of(run) / "metadata.json" if name == "metadata.json" else run / name
        write_sealed_json(path, {**read_sealed_json(path), **changes})

    return change


def raw(name, text):
    return lambda run: (run / name).write_text(text)


def link(name, target):
    def change(run):
        path = best_of(run) if name == "best" else run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.symlink_to(target)

    return change


def manifest_entry(path):
    entry = {"id": "000009", "path": path, "primary_score": 1e9, "episode_id": 0, "sha256": "0" * 64}
    return in_json("manifest.json", best="000009", snapshots=[entry])


def listed(path):
    return in_json("metadata.json", files=[{"path": path, "bytes": 8, "sha256": "0" * 64}])


def huge_header(run):
    path = best_of(run) / "weights" / "state.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])
    reseal(best_of(run))


def huge_array(run):
    header = json.dumps({"model.0": {"dtype": "F32", "shape": [2**31, 2**15], "data_offsets": [0, 2**48]}}).encode()
    (best_of(run) / "weights" / "state.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    reseal(best_of(run))


def crafted_by_hand(outside, keras_file, lambda_config):
    """Return what is done to a run's folder, by name."""
    harmful = layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEA"}})
    system = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    precious = str(outside / PRECIOUS)
    return {
        "architecture: Lambda of a real .keras file": with_model(lambda_config),
        "architecture: Lambda made by hand": with_model(sequential(harmful)),
        "architecture: TFSMLayer that loads a folder": with_model(sequential(layer("TFSMLayer", filepath=precious))),
        "architecture: vocabulary from a file": with_model(sequential(layer("StringLookup", vocabulary=precious))),
        "architecture: os.system as activation": with_model(sequential(layer("Dense", units=2, activation=system))),
        "architecture: os.system as layer": with_model(sequential(layer("system", "os", command="true"))),
        "architecture: load_model": with_model(layer("load_model", "keras.models", filepath=str(keras_file))),
        "architecture: get_file": with_model(layer("get_file", "keras.utils", origin="http://localhost/x")),
        "architecture: two billion weights in one layer": with_model(
            sequential(layer("Dense", units=1_000_000), inputs=2_000)
        ),
        "architecture: two billion units": with_model(sequential(layer("Dense", units=2_000_000_000))),
        "architecture: a thousand layers": with_model(
            sequential(*[layer("Dense", units=900, name=f"d{i}") for i in range(1000)])
        ),
        "architecture: NaN": with_model('{"module": "keras", "class_name": "Sequential", "config": NaN}'),
        "architecture: nested ten thousand deep": with_model("[" * 10_000 + "]" * 10_000),
        "manifest: NaN": raw("manifest.json", '{"best": NaN, "sha256": "0"}'),
        "manifest: infinity": raw("manifest.json", '{"best": 1e999, "sha256": "0"}'),
        "manifest: nested a million deep": raw("manifest.json", "[" * 1_000_000),
        "manifest: 20 MB of spaces": raw("manifest.json", " " * 20_000_000),
        "manifest: an absolute path": manifest_entry(str(outside)),
        "manifest: a path with ..": manifest_entry("../../outside"),
        "manifest: a path of another system": manifest_entry("..\\..\\outside"),
        "manifest: an id that is a path": in_json("manifest.json", best="../../outside"),
        "metadata: an absolute path": listed(precious),
        "metadata: a path with ..": listed("../../../outside/precious"),
        "metadata: NaN as a score": raw("manifest.json", '{"snapshots": [{"primary_score": NaN}], "sha256": "0"}'),
        "link: manifest": link("manifest.json", precious),
        "link: run.json": link("run.json", precious),
        "link: history.jsonl": link("history.jsonl", precious),
        "link: run.lock": link("run.lock", precious),
        "link: the champion's folder": link("best", str(outside)),
        "link: checkpoint": link("checkpoint", str(outside)),
        "link: both slots": lambda run: [link(f"checkpoint/{slot}", str(outside))(run) for slot in "ab"],
        "link: that leads to itself": link("manifest.json", "manifest.json"),
        "device: manifest": link("manifest.json", "/dev/zero"),
        "header: 4 exabytes long": huge_header,
        "header: an array of 281 terabytes": huge_array,
        ".keras in the place of the weights": lambda run: keras_instead(run, keras_file),
    }


def keras_instead(run, keras_file):
    shutil.rmtree(best_of(run) / "weights")
    shutil.copy(keras_file, best_of(run) / "weights")
    reseal(best_of(run))


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

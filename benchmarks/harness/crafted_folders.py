"""A run's folder as someone who means harm would leave it, by what they are after; all seals are made anew."""

import json
import shutil
import zipfile

from harness.crafted_architectures import dense, function, node, sequential, start
from harness.watch import PRECIOUS
from tensor_optix import CheckpointRegistry
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.snapshot_files import _list_files
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state


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
    document = read_sealed_json(snapshot / "metadata.json")
    (snapshot / "metadata.json").unlink()
    document["files"] = list(_list_files(snapshot))
    write_sealed_json(snapshot / "metadata.json", document)
    (snapshot.parent / "manifest.json").unlink(missing_ok=True)


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
    harmful = node("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEA"}})
    system = function("system", "os")
    precious = str(outside / PRECIOUS)
    return {
        "architecture: Lambda of a real .keras file": with_model(lambda_config),
        "architecture: Lambda made by hand": with_model(sequential(harmful)),
        "architecture: TFSMLayer that loads a folder": with_model(sequential(node("TFSMLayer", filepath=precious))),
        "architecture: vocabulary from a file": with_model(sequential(node("StringLookup", vocabulary=precious))),
        "architecture: os.system as activation": with_model(sequential(node("Dense", units=2, activation=system))),
        "architecture: os.system as layer": with_model(sequential(node("system", "os", command="true"))),
        "architecture: load_model": with_model(node("load_model", "keras.models", filepath=str(keras_file))),
        "architecture: get_file": with_model(node("get_file", "keras.utils", origin="http://localhost/x")),
        "architecture: two billion weights in one layer": with_model(sequential(dense(1_000_000), first=start(2_000))),
        "architecture: two billion units": with_model(sequential(node("Dense", units=2_000_000_000))),
        "architecture: a thousand layers": with_model(
            sequential(*[node("Dense", units=900, name=f"d{i}") for i in range(1000)])
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

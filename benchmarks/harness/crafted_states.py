"""A saved agent's description, spaces and arrays as someone who means harm would write them, by what they are after.

Each changes the state in place; its seals and checksums are made anew afterwards, so they are right.
"""

import numpy as np

from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state

from .crafted_files import STRANGE


def space(which, **document):
    def change(state):
        state.meta["architecture"][which] = document

    return change


def structure(**values):
    def change(state):
        state.meta["architecture"].setdefault("structure", {}).update(values)

    return change


def array(change_array):
    def change(state):
        name = next(name for name in state.arrays if name.startswith("model."))
        state.arrays[name] = change_array(np.array(state.arrays[name]))

    return change


def poisoned(value):
    def change_array(weights):
        weights.flat[0] = value
        return weights

    return change_array


def spaces():
    nested = {"kind": "discrete", "n": 2, "start": 0}
    for _ in range(20):
        nested = {"kind": "tuple", "spaces": [nested]}
    many = [{"kind": "discrete", "n": 2, "start": 0}] * 20_000
    return {
        "a billion bits to act with": space("action_space", kind="multi_binary", n=10**9),
        "a billion bits to observe": space("observation_space", kind="multi_binary", n=10**9),
        "a box of a billion": space(
            "observation_space", kind="box", shape=[10**9], dtype="float32", low="-inf", high="inf"
        ),
        "a box of sizes that overflow": space(
            "observation_space", kind="box", shape=[2**32, 2**32], dtype="float64", low="-inf", high="inf"
        ),
        "a box of objects": space("observation_space", kind="box", shape=[4], dtype="O", low="0", high="1"),
        "a million million actions": space("action_space", kind="discrete", n=10**12, start=0),
        "2**62 observations": space("observation_space", kind="discrete", n=2**62, start=0),
        "twenty spaces in one another": space("observation_space", **nested),
        "20,000 spaces": space("observation_space", kind="tuple", spaces=many),
        "a space of another kind": space("observation_space", kind="os.system"),
        "a text of a billion": space("observation_space", kind="text", min_length=0, max_length=10**9, characters=[65]),
    }


def structures():
    return {
        "a buffer of a million million": structure(buffer_size=10**12),
        "a buffer of a billion": structure(buffer_size=10**9),
        "a batch of a billion": structure(batch_size=10**9),
        "a billion steps to look ahead": structure(num_steps=10**9),
        "hidden units of a billion": structure(hidden_units=[10**9]),
        "a million hidden layers": structure(hidden_units=[1] * 10**6),
        "a buffer that is a text": structure(buffer_size="many"),
        "a buffer that is a list": structure(buffer_size=[[[]]]),
        "an argument that no agent has": structure(command="true"),
        "a model as an argument": structure(model={"module": "os"}),
        "an agent of another class": lambda state: state.meta["architecture"].update(agent="os.system"),
        "no architecture": lambda state: state.meta.pop("architecture"),
        "an architecture that is a list": lambda state: state.meta.update(architecture=[]),
        "a model that is a list": lambda state: state.meta["architecture"].update(model=["os"]),
    }


def arrays():
    return {
        "NaN in the weights": array(poisoned(np.nan)),
        "infinity in the weights": array(poisoned(np.inf)),
        "weights of another shape": array(lambda weights: weights.reshape(-1)),
        "weights of another dtype": array(lambda weights: weights.astype(np.complex64)),
        "weights that are whole numbers": array(lambda weights: weights.astype(np.int64)),
        "weights that are missing": lambda state: state.arrays.pop(
            next(name for name in state.arrays if name.startswith("model."))
        ),
        "weights that no model has": lambda state: state.arrays.update({"model.9999": np.zeros(3, np.float32)}),
    }


def meta():
    """Return one change for each key of the description of the learner, and each strange value."""
    changes = {}
    for key in ("version", "learner", "noise", "seed", "hyperparams", "hyperparams_episode_id"):
        changes[f"no {key}"] = lambda state, key=key: state.meta.pop(key)
        for value in (None, [], {}, "a", -1, 1.5, 2**70, [[1]], {"a": {}}, True):
            changes[f"{key} is {value!r}"] = lambda state, key=key, value=value: state.meta.update({key: value})
    return changes


WHICH = ("loop", "agent", "champion", "array")


def change_checkpoint(draw, checkpoint, which=WHICH):
    """Change something in the states of a run's checkpoint; seals and checksums are made anew. Return what, in words.

    Args:
        draw: ``draw(n)`` chooses one of the numbers from 0 to n - 1.
        checkpoint: The folder; the same is changed in all its places, so that none is whole.
        which: Of what it may be: the loop, what is said of the agent or its champion, or their arrays.
    """
    what, seed = which[draw(len(which))], draw(2**31)
    said = []
    for slot in sorted(path for path in checkpoint.iterdir() if path.is_dir()):
        same = np.random.default_rng(seed)
        said.append(_change_slot(lambda n, same=same: int(same.integers(n)), slot, what))
    return ", or ".join(dict.fromkeys(said))


def _change_slot(draw, slot, which):
    if which == "loop":
        sealed = read_sealed_json(slot / "loop.json")
        said = change_document(draw, sealed["loop"])
        write_sealed_json(slot / "loop.json", sealed, flush=False)
        return f"loop{said}"
    name = which if which in ("agent", "champion") else ("agent", "champion")[draw(2)]
    name = name if (slot / name).exists() else "agent"  # there is no champion yet
    state = read_agent_state(slot / name)
    if which == "array":
        said = change_array(draw, state.arrays)
        write_agent_state(slot / name, state, flush=False)
        return f"array {name} {said}"
    document = read_sealed_json(slot / name / "state.json")
    said = change_document(draw, document["meta"])
    write_sealed_json(slot / name / "state.json", document, flush=False)
    return f"{name}{said}"


def change_document(draw, document):
    """Replace, remove or add something somewhere in a document; return what, in words."""
    places = list(places_in(document))
    node, key, path = places[draw(len(places))]
    value, kind = STRANGE[draw(len(STRANGE))], draw(8)
    if kind == 0 and isinstance(node, dict):
        del node[key]
        return f"{path}: gone"
    if kind == 1 and isinstance(node, list):
        del node[key]
        return f"{path}: gone"
    if kind == 2 and isinstance(node[key], list):
        node[key].append(value)
        return f"{path}: one more: {value!r:.60}"
    if kind in (3, 4) and type(node[key]) in (int, float):
        value = (-node[key], node[key] * 10**9, 0, 2**62, 1e300, 0.5, node[key] + 1)[draw(7)]
    node[key] = value
    return f"{path}: {value!r:.60}"


def change_array(draw, arrays):
    """Change one of the arrays; return what, in words."""
    names = sorted(arrays)
    name = names[draw(len(names))]
    array = np.array(arrays[name])
    ways = {
        "is gone": None,
        "is flat": array.reshape(-1),
        "has an axis more": array[None],
        "is cut": array[..., :-1] if array.ndim else array,
        "is longer": np.concatenate([array, array]) if array.ndim else array[None],
        "is empty": np.zeros((0,), array.dtype),
        "is complex": array.astype(np.complex64),
        "is whole": array.astype(np.int64),
        "is of half precision": array.astype(np.float16),
        "is negative": -1 - array.astype(np.int64) if array.dtype.kind in "uib" else -abs(array),
        "is huge": np.full_like(array, np.iinfo(array.dtype).max if array.dtype.kind in "ui" else 1),
        "is another": None,
    }
    if array.dtype.kind == "f" and array.size:
        ways |= {f"is not finite: {value}": _with_one(array, value) for value in (np.nan, np.inf, -np.inf)}
    way = list(ways)[draw(len(ways))]
    if way == "is gone":
        del arrays[name]
    elif way == "is another":
        arrays[name] = arrays[names[draw(len(names))]]
    else:
        arrays[name] = ways[way]
    return f"{name} {way}"


def _with_one(array, value):
    array = array.copy()
    array.flat[-1] = value
    return array


def places_in(node, path=""):
    """Yield every place in a document: what holds it, its key, and the way to it."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        here = f"{path}[{key!r:.40}]"
        yield node, key, here
        if isinstance(node[key], (dict, list)) and node[key]:
            yield from places_in(node[key], here)

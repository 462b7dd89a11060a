"""A saved agent's description, spaces and arrays as someone who means harm would write them, by what they are after.

Each changes the state in place; its seals and checksums are made anew afterwards, so they are right.
"""

import numpy as np


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

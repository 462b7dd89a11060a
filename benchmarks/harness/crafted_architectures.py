"""Configurations of models as someone who means harm would write them, by what they are after.

Each is JSON text that stands where a model's saved configuration stood. None needs Keras: some are
not what Keras would ever write.
"""

import json

INPUTS = 4


def node(class_name, module="keras.layers", **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def start(*shape, name="in"):
    return node("InputLayer", batch_shape=[None, *shape], dtype="float32", name=name)


def sequential(*layers, first=None):
    inner = [start(INPUTS) if first is None else first, *layers]
    return node("Sequential", "keras", name="s", trainable=True, layers=[layer for layer in inner if layer])


def function(name, module):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def dense(units=2, **config):
    return node("Dense", units=units, **config)


def graph(layers, outputs):
    return node(
        "Functional",
        "keras.src.models.functional",
        name="g",
        trainable=True,
        layers=layers,
        input_layers=["in", 0, 0],
        output_layers=outputs,
    )


def tensor(name, call=0, place=0):
    history = [name, call, place]
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, INPUTS], "dtype": "float32", "keras_history": history},
    }


def called(described, name, *calls):
    return {**described, "name": name, "inbound_nodes": [{"args": list(args), "kwargs": {}} for args in calls]}


def graph_start():
    return called(start(INPUTS), "in")


def operation(name, module="keras.src.ops.numpy", **config):
    return {**node(name, module, **config), "registered_name": name}


def towers(levels, width):
    """Models within models, each of which calls the one within several times: width to the power of levels."""
    inner = graph([graph_start(), called(dense(INPUTS, name="d"), "d", [tensor("in")])], ["d", 0, 0])
    for level in range(levels):
        calls = [[tensor("in")], *[[tensor("m", i)] for i in range(width - 1)]]
        inner["config"]["name"] = "m"
        inner = graph([graph_start(), called(inner, "m", *calls)], ["m", width, 0])
        inner["config"]["name"] = f"level{level}"
    return inner


def runs_code(precious):
    """Return what is after running, importing or reading something, by name."""
    system = function("system", "os")
    shared = {**dense(), "shared_object_id": {"module": "os", "class_name": "system", "config": {"command": "true"}}}
    metric = node("MeanIoU", "keras.metrics", num_classes=20_000)
    build = {**dense(), "build_config": {"module": "antigravity", "class_name": "x", "config": {}}}
    compiled = {**sequential(dense()), "compile_config": {"loss": system, "optimizer": metric}}
    registered = {**dense(), "registered_name": "builtins>eval"}
    typespec = {"class_name": "__typespec__", "spec_name": "system", "module": "os", "config": ["true"]}
    code = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None, "closure": None}}
    harmful, texts = node("Lambda", function=code), node("TextVectorization", vocabulary=precious)
    return {
        "Lambda": sequential(harmful),
        "Lambda in a wrapper": sequential(
            node("TimeDistributed", layer=node("Lambda", function=code)), first=start(3, 4)
        ),
        "Lambda as a cell": sequential(node("RNN", cell=node("Lambda", function=code)), first=start(3, 4)),
        "Lambda as an activation": sequential(dense(activation=node("Lambda", function=code))),
        "a lambda as an activation": sequential(dense(activation=code)),
        "a lambda in a call": graph(
            [graph_start(), called(dense(INPUTS, name="d"), "d", [tensor("in"), code])], ["d", 0, 0]
        ),
        "TFSMLayer": sequential(node("TFSMLayer", filepath=precious)),
        "TorchModuleWrapper": sequential(node("TorchModuleWrapper", module="gASVAAA=")),
        "a vocabulary": sequential(node("StringLookup", vocabulary=precious)),
        "a vocabulary in an unbuilt model": sequential(texts, dense(), first={}),
        "os.system as an activation": sequential(dense(activation=system)),
        "os.system as an initializer": sequential(dense(kernel_initializer=node("system", "os", command="true"))),
        "os.system as a regularizer": sequential(dense(kernel_regularizer=system)),
        "os.system as a dtype": sequential(dense(dtype=node("system", "os", command="true"))),
        "os.system as a seed": sequential(node("Dropout", rate=0.1, seed=node("system", "os", command="true"))),
        "os.system as a number": sequential(node("Rescaling", scale=node("system", "os", command="true"))),
        "os.system as an array": sequential(node("Normalization", mean=node("system", "os"), variance=1.0)),
        "os.system as a unit": sequential(dense(units=node("system", "os", command="true"))),
        "os.system as a name": sequential(dense(name=node("system", "os", command="true"))),
        "os.system as a quantisation": sequential(dense(quantization_config=node("system", "os", command="true"))),
        "os.system as a layer": sequential(node("system", "os", command="true")),
        "os.system as a model": node("system", "os", command="true"),
        "os.system in a key that no class has": sequential(dense(hook=system)),
        "os.system in shared_object_id": sequential(shared),
        "a metric in shared_object_id": sequential({**dense(), "shared_object_id": metric}),
        "a metric as a layer": sequential(metric),
        "a module in build_config": sequential(build),
        "a loss in compile_config": compiled,
        "eval as a registered name": sequential(registered),
        "a typespec": sequential(dense(units=typespec)),
        "load_model": sequential(node("load_model", "keras.models", filepath=precious)),
        "get_file": sequential(dense(activation=function("get_file", "keras.utils"))),
        "a private module": sequential(node("Dense", "keras.src.layers.core.dense", units=2)),
        "no module": sequential({"class_name": "Dense", "config": {"units": 2}}),
        "a module that is a list": sequential({**dense(), "module": ["keras.layers"]}),
        "an operation that maps a function": graph(
            [graph_start(), called(operation("Map", "keras.src.ops.core"), "o", [system, tensor("in")])], ["o", 0, 0]
        ),
        "a graph as an operation": graph(
            [graph_start(), called(operation("Function", "keras.src.ops.function"), "o", [tensor("in")])], ["o", 0, 0]
        ),
    }


def distributing(*layers):
    return node("TimeDistributed", layer=node("Sequential", "keras", name="i", layers=list(layers)))


def asks_for_too_much():
    """Return what is after memory or time, by name."""
    large = 10**6
    repeated = [node("RepeatVector", n=large), node("GlobalAveragePooling1D"), dense()]
    unrolled = node("LSTM", units=2, unroll=True)
    distributed = distributing(*[dense(2) for _ in range(9)])
    tail = (node("Flatten"), dense())
    deep = dense()
    for _ in range(300):
        deep = node("TimeDistributed", layer=deep)
    constant = node("Constant", "keras.initializers", value=[[0.0] * 1000] * 1000)
    return {
        "two billion units": sequential(dense(2 * 10**9)),
        "two billion weights": sequential(dense(large), first=start(2000)),
        "weights in a wrapper": sequential(
            distributing(dense(large), dense(large), dense(1)), *tail, first=start(3, 4)
        ),
        "weights of a recurrent layer": sequential(node("LSTM", units=50_000), first=start(5, 900)),
        "weights of cells": sequential(
            node("RNN", cell=node("StackedRNNCells", cells=[node("GRUCell", units=large) for _ in range(9)])),
            first=start(5, 4),
        ),
        "weights of an embedding": sequential(node("Embedding", input_dim=large, output_dim=large)),
        "weights of a model that is not built": sequential(dense(large), dense(large), dense(), first={}),
        "weights of a normaliser": sequential(
            node("UpSampling1D", size=1000), node("Flatten"), dense(large), first=start(9, 9)
        ),
        "twenty thousand layers": sequential(*[node("Identity", name=f"i{i}") for i in range(20_000)]),
        "twenty thousand layers that are not built": sequential(
            *[node("Identity", name=f"i{i}") for i in range(20_000)], first={}
        ),
        "twenty thousand operations": graph(
            [graph_start()]
            + [called(operation("Negative"), f"o{i}", [tensor(f"o{i - 1}" if i else "in")]) for i in range(20_000)],
            ["o19999", 0, 0],
        ),
        "one layer called twenty thousand times": graph(
            [
                graph_start(),
                called(dense(INPUTS), "d", [tensor("in")], *[[tensor("d", i)] for i in range(20_000)]),
            ],
            ["d", 20_000, 0],
        ),
        "twenty thousand layers in reverse": graph(
            [graph_start()]
            + [called(node("Identity"), f"i{i}", [tensor(f"i{i + 1}" if i < 19_999 else "in")]) for i in range(20_000)],
            ["i0", 0, 0],
        ),
        "models within models": towers(6, 8),
        "three hundred wrappers in one another": sequential(deep),
        "a recurrent layer unrolled over a million steps": sequential(node("RepeatVector", n=large), unrolled),
        "a recurrent layer over a million steps": sequential(node("RepeatVector", n=large), node("LSTM", units=2)),
        "a wrapper over a million steps": sequential(node("RepeatVector", n=large), distributed, *tail),
        "steps within a wrapper": sequential(
            distributing(node("RepeatVector", n=large), unrolled),
            node("Flatten"),
            dense(),
            first=start(3, 4),
        ),
        "results of a layer": sequential(*repeated, first=start(300)),
        "results within a wrapper": sequential(
            distributing(*repeated),
            node("Flatten"),
            dense(),
            first=start(3, 300),
        ),
        "results of many layers": sequential(
            node("RepeatVector", n=200_000),
            *[node("Activation", activation="tanh", name=f"a{i}") for i in range(900)],
            node("GlobalAveragePooling1D"),
            dense(),
            first=start(900),
        ),
        "scores of an attention": sequential(
            node("RepeatVector", n=100_000),
            graph(
                [
                    called(start(100_000, INPUTS), "in"),
                    called(node("Attention"), "a", [[tensor("in"), tensor("in")]]),
                ],
                ["a", 0, 0],
            ),
            node("GlobalAveragePooling1D"),
            dense(),
        ),
        "multiplications": sequential(
            node("RepeatVector", n=16_000),
            graph(
                [
                    called(start(16_000, 1000), "in"),
                    called(node("Attention"), "a", [[tensor("in"), tensor("in")]]),
                ],
                ["a", 0, 0],
            ),
            node("GlobalAveragePooling1D"),
            dense(),
            first=start(1000),
        ),
        "pools": sequential(
            node("RepeatVector", n=large),
            node("AveragePooling1D", pool_size=100_000, strides=1, padding="same"),
            node("GlobalMaxPooling1D"),
            dense(),
        ),
        "singular values": graph(
            [
                graph_start(),
                called(node("RepeatVector", n=large), "r", [tensor("in")]),
                called(node("Reshape", target_shape=[2000, 2000]), "s", [tensor("r")]),
                called(
                    operation("Norm", "keras.src.ops.linalg", ord="nuc", axis=[1, 2], keepdims=True),
                    "n",
                    [tensor("s")],
                ),
                called(node("Flatten"), "f", [tensor("n")]),
                called(dense(), "d", [tensor("f")]),
            ],
            ["d", 0, 0],
        ),
        "sorting": graph(
            [
                graph_start(),
                called(node("RepeatVector", n=large), "r", [tensor("in")]),
                called(node("Flatten"), "s0", [tensor("r")]),
                *[called(operation("Sort", axis=1), f"s{i + 1}", [tensor(f"s{i}")]) for i in range(8)],
                called(operation("Max", axis=1, keepdims=True), "m", [tensor("s8")]),
                called(node("RepeatVector", n=2), "v", [tensor("m")]),
                called(node("Flatten"), "f", [tensor("v")]),
            ],
            ["f", 0, 0],
        ),
        "a sum of a hundred thousand": graph(
            [
                graph_start(),
                called(node("Add"), "a", [[tensor("in")] * 100_000]),
                called(dense(), "d", [tensor("a")]),
            ],
            ["d", 0, 0],
        ),
        "a hundred thousand results": graph(
            [graph_start(), called(dense(), "d", [tensor("in")])], [["d", 0, 0]] * 100_000
        ),
        "a million parts": graph(
            [
                graph_start(),
                called(node("RepeatVector", n=large), "r", [tensor("in")]),
                called(operation("Unstack", "keras.src.ops.core", num=None, axis=1), "u", [tensor("r")]),
            ],
            ["u", 0, 0],
        ),
        "a million sections": graph(
            [
                graph_start(),
                called(node("RepeatVector", n=large), "r", [tensor("in")]),
                called(operation("Split", indices_or_sections=large, axis=1), "u", [tensor("r")]),
            ],
            ["u", 0, 0],
        ),
        "a million differences": graph(
            [
                graph_start(),
                called(node("RepeatVector", n=large), "r", [tensor("in")]),
                called(operation("Diff", n=large, axis=1), "u", [tensor("r")]),
            ],
            ["u", 0, 0],
        ),
        "a shape of a billion": sequential(node("Reshape", target_shape=[10**9]), first=start(INPUTS)),
        "padding": sequential(node("ZeroPadding2D", padding=large), *tail, first=start(8, 8, 1)),
        "images": sequential(node("Resizing", height=50_000, width=50_000), *tail, first=start(8, 8, 1)),
        "a spectrogram": sequential(
            node("MelSpectrogram", fft_length=large, num_mel_bins=large), *tail, first=start(large)
        ),
        "an operation that tiles": graph(
            [
                graph_start(),
                called(operation("Tile", repeats=[1, 10**6]), "o", [tensor("in")]),
                called(operation("Tile", repeats=[1, 10**6]), "p", [tensor("o")]),
            ],
            ["p", 0, 0],
        ),
        "an operation on no tensor": graph(
            [graph_start(), called(operation("BroadcastTo", shape=[large, large]), "o", [1.0])], ["o", 0, 0]
        ),
        "an initial constant of a million": sequential(dense(kernel_initializer=constant)),
        "repetitions": sequential(node("AugMix", chain_depth=large), *tail, first=start(8, 8, 3)),
        "iterations": sequential(node("SpectralNormalization", layer=dense(), power_iterations=large)),
        "a number of 4,000 digits": sequential(dense(units=10**3999)),
        "a seed of 4,000 digits": sequential(node("Dropout", rate=0.1, seed=10**3999)),
        "a name of a megabyte": sequential(dense(name="a" * 10**6)),
        "a word of a megabyte": sequential(dense(activation="a" * 10**6)),
        "a tensor that comes from itself": graph(
            [graph_start(), called(dense(INPUTS), "d", [tensor("d")])], ["d", 0, 0]
        ),
    }


def as_texts():
    """Return what is no tree of objects, by name."""
    many = "[" + ",".join(["{}"] * 10**6) + "]"
    return {
        "nested ten thousand deep": "[" * 10_000 + "]" * 10_000,
        "objects ten thousand deep": '{"a":' * 10_000 + "1" + "}" * 10_000,
        "a million empty objects": json.dumps(sequential(dense()))[:-1] + f', "x": {many}}}',
        "NaN": '{"module": "keras", "class_name": "Sequential", "config": NaN}',
        "a number": "1",
        "nothing": "",
        "null": "null",
    }

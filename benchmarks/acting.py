"""Time to act: one forward pass of a small network in NumPy, traced, and called eagerly through Keras.

    python benchmarks/acting.py --hidden 64 64 --batch-sizes 1 8 64

Prints microseconds per call, results as NumPy arrays included: the best of several repeats, as
anything slower was the machine doing something else.
"""

import argparse
import platform
import timeit
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.adapters.tensorflow.acting.forward import TracedForward
from tensor_optix.adapters.tensorflow.acting.model_inputs import inputs_of


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 64], help="units of each hidden layer")
    parser.add_argument("--activation", default="tanh", help="activation of the hidden layers")
    parser.add_argument("--observation-size", type=int, default=4)
    parser.add_argument("--outputs", type=int, default=2)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--repeats", type=int, default=15, help="the best of so many is printed")
    return parser.parse_args()


def microseconds(call: Callable[[], object], repeats: int) -> float:
    """Return the best time per call; each repeat takes about 20 ms."""
    once = min(timeit.repeat(call, number=1, repeat=5))
    number = max(1, int(0.02 / once))
    return min(timeit.repeat(call, number=number, repeat=repeats)) / number * 1e6


def main() -> None:
    arguments = parse_arguments()
    stack = [keras.layers.Dense(units, arguments.activation) for units in arguments.hidden]
    inputs = keras.Input((arguments.observation_size,))
    model = keras.Sequential([inputs, *stack, keras.layers.Dense(arguments.outputs)])
    forward, traced = compile_forward(model), TracedForward(model, inputs_of(model))
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, TensorFlow {tf.__version__}"
    print(f"{versions}, Keras {keras.__version__}; {platform.machine()}")
    print(f"hidden {arguments.hidden}, {arguments.activation}; microseconds per call, best of {arguments.repeats}\n")
    print(f"{'observations':<20}{forward.kind:>10}{'traced':>10}{'eager':>10}")

    def row(name: str, *calls: Callable[[], object]) -> None:
        print(f"{name:<20}" + "".join(f"{microseconds(call, arguments.repeats):>10.1f}" for call in calls))

    batches = np.random.default_rng(0).normal(size=(max(arguments.batch_sizes), arguments.observation_size))
    single = batches[0]
    row("one", lambda: forward.one(single), lambda: traced.one(single), lambda: model(single[None]).numpy()[0])
    for size in arguments.batch_sizes:
        x = batches[:size]
        row(f"batch of {size}", lambda x=x: forward(x), lambda x=x: traced(x), lambda x=x: model(x).numpy())
    row("refresh", forward.refresh)
    row("snapshot", forward.snapshot, traced.snapshot)


if __name__ == "__main__":
    main()

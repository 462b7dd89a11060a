"""Programs, their buffers, and what comes out of them."""

import gc

import numpy as np
from acting_checks import assert_close, draw, mlp, oracle

from tensor_optix.adapters.tensorflow.acting import forward as forward_passes
from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Program


def test_results_are_new_arrays():
    forward = compile_forward(mlp())
    first = forward.one(np.zeros(4))
    kept = first.copy()
    batch = forward(np.zeros((2, 4)))
    kept_batch = batch.copy()
    forward.one(np.ones(4))
    forward(np.ones((2, 4)))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(batch, kept_batch)


def programs():
    return [thing for thing in gc.get_objects() if type(thing) is Program]


def test_any_number_of_batch_sizes_and_empty_batches():
    model = mlp()
    forward = compile_forward(model)
    others = {id(program) for program in programs()}
    for batch_size in [*range(2, 2 + 2 * forward_passes.MAX_PROGRAMS), 2, 1]:
        x = draw(model, batch_size, seed=batch_size)[0]
        assert_close(forward(x), oracle(model, x))
    assert len([program for program in programs() if id(program) not in others]) == forward_passes.MAX_PROGRAMS
    assert forward(np.zeros((0, 4))).shape == (0, 3)

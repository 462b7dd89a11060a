import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.adapters.tensorflow.acting.noise_stream import BLOCK_ROWS, NoiseStream


@given(st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_noise_is_one_stream_however_it_is_taken(counts):
    def draw(rng, count):
        return rng.normal(size=(count, 2))

    blocks, singles = (NoiseStream(np.random.default_rng(1), draw) for _ in range(2))
    taken = np.concatenate([blocks.batch(count) for count in counts])
    np.testing.assert_array_equal(taken, np.stack([singles.one() for _ in range(sum(counts))]))
    restored = NoiseStream(np.random.default_rng(2), draw)
    restored.load_state_dict(blocks.state_dict())
    np.testing.assert_array_equal(restored.batch(BLOCK_ROWS), blocks.batch(BLOCK_ROWS))


def test_what_was_handed_out_never_changes():
    stream = NoiseStream(np.random.default_rng(0), lambda rng, count: rng.normal(size=(count, 2)))
    first, rows = stream.one(), stream.batch(5)
    kept, kept_rows = first.copy(), rows.copy()
    stream.batch(2 * BLOCK_ROWS)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(rows, kept_rows)

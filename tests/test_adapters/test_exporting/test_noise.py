import keras
import numpy as np
import pytest
from scipy import stats

from tensor_optix.adapters.tensorflow.exporting.noise import SymbolicNoise


@pytest.mark.parametrize(("name", "law"), [("uniform", stats.uniform), ("normal", stats.norm)])
def test_numbers_have_the_law_that_they_are_named_by(name, law):
    like = keras.Input((3,))
    model = keras.Model(like, getattr(SymbolicNoise(), name)(like))
    drawn = model(np.zeros((3_000, 3), np.float32)).numpy()
    assert drawn.shape == (3_000, 3)
    assert stats.kstest(drawn.reshape(-1), law.cdf).pvalue > 1e-4
    assert not np.array_equal(drawn, model(np.zeros((3_000, 3), np.float32)))


def test_they_are_new_in_each_row_and_at_inference():
    like = keras.Input((1,))
    model = keras.Model(like, SymbolicNoise().normal(like))
    drawn = np.concatenate([model.predict(np.zeros((50, 1)), batch_size=50, verbose=0) for _ in range(2)])
    assert len(np.unique(drawn)) == 100

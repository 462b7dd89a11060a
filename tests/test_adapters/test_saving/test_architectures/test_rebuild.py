"""Configurations that were crafted by hand: refused in words of ours, at once, and with nothing allocated.

The same ones are loaded by processes of their own, watched from outside, by `benchmarks/crafted_agents.py`.
"""

import json
import resource
import time

import pytest
from harness import crafted_architectures as crafted
from saving_samples import build_from_config

from tensor_optix.exceptions import TensorOptixError

HARMLESS = ("a module in build_config", "a loss in compile_config", "eval as a registered name")
HARMLESS += ("an initial constant of a million",)
"""What is not looked at, or no more than a file of its size."""
SEEN_WHEN_IT_IS_BOUND = ("weights of a model that is not built", "results of many layers", "multiplications")
SEEN_WHEN_IT_IS_BOUND += ("scores of an attention", "pools", "singular values", "sorting")
TEXTS = {
    name: case if isinstance(case, str) else json.dumps(case)
    for cases in (crafted.runs_code("precious"), crafted.asks_for_too_much(), crafted.as_texts())
    for name, case in cases.items()
}


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in (*HARMLESS, *SEEN_WHEN_IT_IS_BOUND)])
def test_it_is_refused_at_once(name):
    memory, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    with pytest.raises(TensorOptixError):
        build_from_config(TEXTS[name], None, 1000)
    assert time.thread_time() - begin < 5.0
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024 < 200


@pytest.mark.parametrize("name", HARMLESS)
def test_what_would_have_been_used_by_keras_is_not_looked_at(name):
    assert build_from_config(TEXTS[name], None, 10_000).count_params() == 10

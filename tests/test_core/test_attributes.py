import array
import datetime
import functools
import itertools
import random
import time
from collections import Counter, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tensor_optix import BackoffOptimizer, LoopCallback
from tensor_optix.core.attributes import fingerprints, own_attributes


class Thing:
    def __init__(self, value):
        self.value = value


class Calling(Thing):
    def __call__(self):
        return self.value


@dataclass(slots=True)
class Slotted:
    value: int = 0


def count_on(thing):
    thing.value += 1


def nested(depth):
    return [nested(depth - 1)] if depth else [0]


def innermost(value):
    return innermost(value[0]) if isinstance(value[0], list) else value


def changed(value, change):
    thing = Thing(value)
    before = fingerprints(thing)
    result = change(value)
    if result is not None:
        thing.value = result
    return fingerprints(thing) != before


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (1, lambda x: 2),
        (None, lambda x: 0.5),
        pytest.param(10**5000, lambda x: x + 1, id="long integer"),
        ({i: i for i in range(5000)}, lambda x: x.update({4999: 0})),
        (tuple(range(5000)), lambda x: (*x[:-1], 0)),
        (0.0, lambda x: -0.0),
        ("a" * 2000 + "b", lambda x: "a" * 2000 + "c"),
        ([], lambda x: x.append(1)),
        ([0] * 5000, lambda x: x.append(0)),
        ([[0], {}], lambda x: x[1].update(a=[1])),
        (deque([1, 2], maxlen=2), lambda x: x.append(3)),
        (Counter("a"), lambda x: x.update("a")),
        ({1, 2}, lambda x: x.add(3)),
        (np.zeros(3), lambda x: x.__setitem__(1, 1.0)),
        (np.float32(1), lambda x: np.float64(1)),
        (np.random.default_rng(0), lambda x: x.normal() and None),
        (random.Random(0), lambda x: x.random() and None),
        (Thing([Thing(1)]), lambda x: setattr(x.value[0], "value", 2)),
        (Calling(0), count_on),
        (Slotted(), count_on),
        ({Slotted.__name__: [Slotted()]}, lambda x: count_on(x["Slotted"][0])),
        (np.array([Slotted(), None], object), lambda x: count_on(x[0])),
        ({Calling(0)}, lambda x: count_on(next(iter(x)))),
        (Decimal("0.1"), lambda x: x + 1),
        (Fraction(1, 3), lambda x: x + 1),
        (datetime.date(2000, 1, 1), lambda x: x.replace(day=2)),
        (bytearray(1), lambda x: x.append(1)),
        (array.array("d", [1.0]), lambda x: x.append(1.0)),
        (itertools.count(), lambda x: next(x) and None),
        (np.random.RandomState(0), lambda x: x.normal() and None),
        (np.random.PCG64(0), lambda x: x.random_raw() and None),
        ([0] * 1000, lambda x: x.__setitem__(500, 1)),
        (np.zeros(100_000), lambda x: x.__setitem__(50_001, 1.0)),
        (nested(9), lambda x: innermost(x).append(1)),
        (functools.partial(print, [0]), lambda x: x.args[0].append(1)),
    ],
)
def test_a_change_of_numbers_and_containers_is_seen(value, change):
    assert changed(value, change)


@pytest.mark.parametrize(
    "value",
    [print, np, Thing, LoopCallback(), BackoffOptimizer(), Path("a"), lambda: 0],
)
def test_what_belongs_to_a_library_is_not_looked_into(value):
    assert fingerprints(Thing(value)) == {}


def test_the_holder_of_a_part_is_not_its_owner():
    tuner = BackoffOptimizer({"x": (0.0, 1.0)})
    assert not changed(tuner, lambda x: setattr(x, "_turn", 5))


def test_an_endless_structure_is_left_alone():
    endless = []
    endless.append(endless)
    assert fingerprints(Thing(endless))["value"] == fingerprints(Thing(endless))["value"]


def test_what_hangs_on_an_agent_may_be_left_out():
    thing = Thing([np.random.default_rng(0)])
    before = fingerprints(thing, attached=False)
    thing.value[0].normal()
    assert fingerprints(thing, attached=False) == before
    assert fingerprints(thing, {"value"}) == {}


def test_own_attributes_are_those_of_the_package_s_part_of_a_class():
    class Mine(BackoffOptimizer):
        def __init__(self):
            super().__init__()
            self.extra = 1

    assert "_rng" in own_attributes(Mine)
    assert set(vars(Mine())) - own_attributes(Mine) == {"extra"}


def test_what_is_very_large_costs_little():
    class Odd:
        @property
        def __dict__(self):
            raise RuntimeError

    tree = [[[list(range(100)) for _ in range(100)] for _ in range(100)], Odd()]
    started = time.perf_counter()
    assert fingerprints(Thing(tree))
    assert time.perf_counter() - started < 2.0
    assert fingerprints(Thing(Odd())) == {}

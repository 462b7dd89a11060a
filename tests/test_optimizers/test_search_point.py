import json

import pytest

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.optimizers.search_point import Probe, SearchPoint, with_specs

SPECS = {"a": ParamSpec(0.01, 1.0, "log"), "b": ParamSpec(0.0, 1.0)}


def probing(value=0.2):
    point = SearchPoint()
    point.resync({"a": 0.1, "b": 0.5}, SPECS)
    point.probe = Probe("a", 1, value, is_opening=False)
    point.issue({"a": 0.1, "b": 0.5})
    return point


def test_only_what_differs_is_issued():
    point = SearchPoint()
    assert point.resync({"a": 0.1, "b": 0.5}, SPECS) == []
    assert point.issue({"a": 0.1, "b": 0.5}) == {}
    point.probe = Probe("a", 1, 0.2, is_opening=False)
    assert point.issue({"a": 0.1, "b": 0.5}) == {"a": 0.2}


def test_a_score_is_told_by_what_earned_it():
    point = probing()
    assert point.is_probe({"a": 0.2, "b": 0.5})
    assert not point.is_probe({"a": 0.1, "b": 0.5})
    assert point.is_centre({"a": 0.1, "b": 0.5})
    assert not point.is_centre({"a": 0.1, "b": 0.4})


def test_a_score_without_a_stamp_belongs_to_what_was_issued():
    assert probing().is_probe(None)
    assert not probing().is_centre(None)


@pytest.mark.parametrize("value", [0.3, 0.05])
def test_a_value_from_outside_becomes_theta(value):
    point = probing()
    (change,) = point.resync({"a": value, "b": 0.5}, SPECS)
    assert (change.name, change.issued, change.value) == ("a", 0.2, value)
    assert point.coordinates["a"].centre == value


def test_a_clipped_probe_stays_a_probe():
    point = probing()
    assert point.resync({"a": 0.15, "b": 0.5}, SPECS) == []
    assert point.probe.value == 0.15
    assert point.coordinates["a"].centre == 0.1


def test_a_probe_clipped_to_theta_is_given_up_for_the_other_side():
    point = probing()
    assert point.resync({"a": 0.1, "b": 0.5}, SPECS) == []
    assert point.probe is None
    assert point.coordinates["a"].direction == -1


def test_state():
    point, other = probing(), SearchPoint()
    point.probe.scores.append(1.0)
    point.probe.times.append(4)
    other.load_state_dict(with_specs(json.loads(json.dumps(point.state_dict())), SPECS))
    assert other.state_dict() == point.state_dict()
    assert other.values() == {"a": 0.2, "b": 0.5}
    assert (other.probe.score, other.probe.time) == (1.0, 4.0)


def test_a_state_of_before_is_read():
    saved = {
        "coordinates": {
            "a": {
                **{"centre": 0.1, "direction": -1, "width": 0.09, "reach": 0.09, "has_gained": False},
                **{"looks": 28, "pairs": 13, "half": [0.09, 1.0, 2.0], "slope": [0.2, 0.4], "curvature": [0.0, 0.0]},
                "gains": [[0.3, 8.5], [-0.2, 8.5]],
            }
        },
        "probe": None,
        "issued": {"a": 0.1},
    }
    point = SearchPoint()
    point.load_state_dict(with_specs(saved, SPECS))
    (coordinate,) = point.coordinates.values()
    assert coordinate.spec == SPECS["a"]
    assert (coordinate.half.offset, coordinate.half.variance) == (0.09, 2.0)
    assert (coordinate.slope.mean, coordinate.gains[1].mean) == (pytest.approx(0.5), pytest.approx(-0.2 / 8.5))

import json
import math

import pytest

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.storage.plain_state import made_of
from tensor_optix.core.storage.stateful import to_plain
from tensor_optix.optimizers.coordinate import BOLD, COARSE, FINE, Coordinate, Side, unit_of

LOG = ParamSpec(0.01, 1.0, "log")


def seen(coordinate, gain, *, sd=0.1, pairs=1):
    """Show the coordinate what ``gain(offset)`` is worth on both sides."""
    for _ in range(pairs):
        for side in (1, -1):
            offset = coordinate.distance(coordinate.look(side, 1))
            coordinate.note(Side(offset, gain(offset) / sd, 1.25))


class TestUnits:
    @pytest.mark.parametrize(
        ("spec", "unit"),
        [
            (ParamSpec(1e-6, 1e-1, "log"), math.log(10)),
            (ParamSpec(0.01, 0.1, "log"), math.log(10) / 2),
            (ParamSpec(0.0, 10.0), 5.0),
            (ParamSpec(0.9, 0.9999, "one_minus_log"), math.log(10)),
        ],
    )
    def test_a_decade_or_half_the_range(self, spec, unit):
        assert unit_of(spec) == pytest.approx(unit)

    def test_a_width_is_geometric_on_a_log_scale(self):
        coordinate = Coordinate(LOG, 0.1, width=0.3)
        assert coordinate.look(1, 1) == pytest.approx(0.1 * 10**0.3)
        assert coordinate.look(-1, 1) == pytest.approx(0.1 / 10**0.3)
        assert coordinate.distance(0.01) == pytest.approx(-1.0)

    def test_a_probe_that_stays_keeps_closer(self):
        coordinate = Coordinate(LOG, 0.1, width=0.3)
        assert coordinate.distance(coordinate.look(1, 9)) == pytest.approx(0.1)

    def test_room(self):
        assert not Coordinate(LOG, 1.0).has_room(1)
        assert Coordinate(LOG, 1.0).has_room(-1)


class TestWidth:
    def test_it_grows_to_fine_and_is_bold_now_and_then(self):
        coordinate = Coordinate(LOG, 0.1)
        coordinate.open_width(0.105)
        assert coordinate.width == FINE / 2
        coordinate.settle(1, is_bold=True)
        assert coordinate.width == FINE
        coordinate.settle(-1, is_bold=True)
        assert (coordinate.width, coordinate.direction) == (BOLD, -1)
        coordinate.settle(1, is_bold=False)
        assert coordinate.width == FINE

    def test_without_a_gain_it_does_not_widen_beyond_fine(self):
        coordinate = Coordinate(LOG, 0.1, width=FINE)
        coordinate.widen(2.0)
        assert coordinate.width == FINE

    def test_after_a_gain_it_widens_up_to_coarse_and_comes_back(self):
        coordinate = Coordinate(LOG, 0.1, width=FINE, has_gained=True)
        for _ in range(9):
            coordinate.widen(2.0)
        assert coordinate.width == COARSE
        for _ in range(30):
            coordinate.settle(1, is_bold=True)
        assert coordinate.width == FINE


class TestProof:
    def test_nothing_seen_proves_nothing(self):
        assert Coordinate(LOG, 0.1, width=0.2).proven_offset() == 0.0

    def test_a_flat_score_proves_nothing(self):
        coordinate = Coordinate(LOG, 0.1, width=0.2)
        seen(coordinate, lambda x: 0.0, pairs=50)
        assert coordinate.proven_offset() == 0.0

    def test_a_far_top_moves_by_one_width(self):
        coordinate = Coordinate(LOG, 0.1, width=0.2)
        seen(coordinate, lambda x: -((x - 0.8) ** 2) + 0.8**2, pairs=3)
        assert coordinate.proven_offset() == pytest.approx(0.2)

    def test_a_near_top_is_gone_to(self):
        coordinate = Coordinate(LOG, 0.1, width=0.4)
        seen(coordinate, lambda x: -((x + 0.15) ** 2) + 0.15**2, pairs=6)
        assert coordinate.proven_offset() == pytest.approx(-0.15)

    def test_the_top_is_where_it_is(self):
        coordinate = Coordinate(LOG, 0.1, width=0.4)
        seen(coordinate, lambda x: -(x**2), pairs=20)
        assert coordinate.proven_offset() == 0.0

    def test_at_a_bound_one_side_is_enough(self):
        coordinate = Coordinate(LOG, 1.0, width=0.2, direction=-1)
        for _ in range(4):
            coordinate.look(-1, 1)
            assert coordinate.note(Side(-0.2, 3.0, 1.25))
        assert coordinate.proven_offset() == pytest.approx(-0.2)

    def test_what_was_seen_elsewhere_does_not_count(self):
        coordinate = Coordinate(LOG, 0.1, width=0.2)
        seen(coordinate, lambda x: 5.0 * x, pairs=5)
        coordinate.recentre(0.2)
        assert coordinate.proven_offset() == 0.0
        assert coordinate.looks == 0


def test_whole_numbers_always_differ_from_the_centre():
    coordinate = Coordinate(ParamSpec(1, 100, "log", integer=True), 5.0, width=0.01)
    assert coordinate.output(coordinate.look(1, 1)) == 6.0
    assert coordinate.output(coordinate.look(-1, 1)) == 4.0
    assert coordinate.output(coordinate.stepped(0.1)) == 6.0


def test_state():
    coordinate = Coordinate(LOG, 0.1, width=0.2)
    seen(coordinate, lambda x: x, pairs=2)
    coordinate.note(Side(0.2, 1.0, 1.0))
    again = made_of(Coordinate, json.loads(json.dumps(to_plain(coordinate))))
    assert again == coordinate

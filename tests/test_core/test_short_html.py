"""Results, agents and runs in a notebook: well-formed tables in which nothing can hide a script."""

from xml.etree import ElementTree

import numpy as np
import pytest
from results import result

from tensor_optix import HyperparamSet
from tensor_optix.core.short_html import html_table
from tensor_optix.core.types import EvaluationResult
from tensor_optix.testing.fakes import StatefulAgent


def rows_of(shown):
    table = ElementTree.fromstring(shown)
    return {row[0].text: row[1].text for row in table.iter("tr")}


def test_a_table_has_a_row_for_each_value_that_there_is():
    shown = html_table("Title", {"one": 1, "none": None, "empty": "", "zero": 0})
    assert rows_of(shown) == {"one": "1", "zero": "0"}
    assert ElementTree.fromstring(shown).find("b").text == "Title"


def test_what_is_shown_is_text():
    assert "<script>" not in html_table("<script>", {"<script>": "<script>alert('x')</script>"})


def test_a_result_shows_what_was_reached():
    shown = result(notes=("a < b",))._repr_html_()
    rows = rows_of(shown)
    assert rows["Champion, fresh greedy episodes"].startswith("497.25 (95 % interval 493.50 to 499.00")
    assert rows["Env steps"] == "90,000 training, 8,000 evaluation, 49,725 report"
    assert rows["Notes"] == "a < b"


def test_an_evaluation_shows_its_difference():
    theirs = EvaluationResult(2.0, (1.0, 3.0), np.array([1.0, 2.0, 3.0]), np.array([1, 1, 1]), 3)
    ours = EvaluationResult(5.0, (4.0, 6.0), np.array([5.0, 4.0, 6.0]), np.array([2, 2, 2]), 6, against=theirs)
    rows = rows_of(ours._repr_html_())
    assert rows["Difference, paired by seed"].startswith("+3.00 (95 % interval ")
    assert repr(ours) == "EvaluationResult(mean=5, interval=(4, 6), num_episodes=3, difference=3)"
    assert "difference, paired by seed: +3.00" in str(ours)
    assert "ifference" not in repr(theirs) + str(theirs) + theirs._repr_html_()


def test_an_agent_shows_its_hyperparameters():
    agent = StatefulAgent({"gamma": 0.99})
    assert repr(agent) == "StatefulAgent(gamma=0.99)"
    assert rows_of(agent._repr_html_()) == {"gamma": "0.99", "bound": "no"}


def test_an_agent_that_cannot_tell_them_is_printed_all_the_same():
    class Broken(StatefulAgent):
        def get_hyperparams(self) -> HyperparamSet:
            raise RuntimeError("not yet")

    assert repr(Broken()) == "Broken()"


@pytest.mark.parametrize("length", [24, 10_000])
def test_a_long_value_is_cut(length):
    assert len(repr(StatefulAgent({"x": "y" * length}))) < 60

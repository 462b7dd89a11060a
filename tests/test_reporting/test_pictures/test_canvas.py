"""A picture is drawn twice, as large as its screen asks for."""

import io

import pytest
from PIL import Image

from tensor_optix.exceptions import MissingExtraError
from tensor_optix.reporting.pictures.canvas import NARROW, WIDE, counted, drawn, legend_below, unit_of_time, wrapped


def test_both_sizes_are_pngs_of_the_size_asked_for():
    seen = []

    def draw(figure, size):
        seen.append(size)
        axes = figure.subplots()
        axes.plot([0, 1_000_000], [0, 1], label="a line")
        counted(axes.xaxis, size)
        legend_below(figure, size)

    picture = drawn("name", "text", draw, height=lambda size: 4.0 if size.is_narrow else 2.0)
    assert seen == [WIDE, NARROW]
    assert Image.open(io.BytesIO(picture.wide)).size == (1290, 300)
    assert Image.open(io.BytesIO(picture.narrow)).size == (780, 800)
    assert len(set(Image.open(io.BytesIO(picture.wide)).convert("L").getdata())) > 10, "something is drawn"


def test_legends_name_each_label_once():
    def draw(figure, size):
        for axes in figure.subplots(1, 2):
            axes.plot([0, 1], [0, 1], label="the same")
        legend_below(figure, size)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["the same"]

    drawn("name", "text", draw, height=2)


def test_long_labels_are_broken_between_words_and_stay_inside():
    label = "an_agent, learning_rate=0.001, gamma=0.99, hidden_units=[64, 64]: median and range of 10 runs, and more"

    def draw(figure, size):
        figure.subplots().plot([0, 1], [0, 1], label=label)
        legend_below(figure, size)
        figure.canvas.draw()
        box = figure.legends[0].get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width

    drawn("name", "text", draw, height=3)
    assert wrapped("one two three", 8).splitlines() == ["one two", "three"]
    assert wrapped("", 8) == ""


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (5, (1.0, "seconds")),
        (179, (1.0, "seconds")),
        (600, (60.0, "minutes")),
        (20_000, (3600.0, "hours")),
        (1e6, (86_400.0, "days")),
    ],
)
def test_a_length_of_time_has_its_unit(seconds, expected):
    assert unit_of_time(seconds) == (expected[0], f"wall time [{expected[1]}]")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"Reports need Matplotlib, the extra tensor-optix\[plots\]"):
        drawn("name", "text", lambda figure, size: None, height=1)

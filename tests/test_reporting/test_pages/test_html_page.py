"""Pages are whole, need nothing else, and nothing that is shown can become markup."""

from html.parser import HTMLParser

import pytest

from tensor_optix.reporting.pages import html_page as html
from tensor_optix.reporting.pictures.canvas import Picture

HOSTILE = "<script>alert(1)</script>\"' onload=x &amp;"
VOID = {"meta", "img", "source"}


class Checker(HTMLParser):
    """Notes tags, texts and what is loaded, and that each tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.loaded, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "srcset", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def checked(text):
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return checker


@pytest.fixture
def whole():
    parts = [
        html.heading(HOSTILE),
        html.paragraph(HOSTILE, "lead"),
        html.section(HOSTILE, html.facts({HOSTILE: HOSTILE, "none": None})),
        html.section("A table", html.table([HOSTILE, "n"], [[HOSTILE, "1"]], numbers=(1,))),
        html.listing([HOSTILE]),
        html.code(f"run {HOSTILE}\nline two"),
        html.shown(Picture("name", HOSTILE, b"wide", b"narrow")),
        html.film(b"GIF", HOSTILE),
    ]
    return html.page(HOSTILE, parts, HOSTILE)


def test_what_is_shown_stays_text(whole):
    checker = checked(whole)
    assert "script" not in checker.tags
    assert sum(HOSTILE in text for text in checker.texts) >= 7
    assert "$" not in whole.partition("<body>")[2]


def test_nothing_is_loaded_from_elsewhere(whole):
    checker = checked(whole)
    assert len(checker.loaded) == 3
    assert all(place.startswith("data:image/") for place in checker.loaded)
    assert "default-src 'none'" in whole
    assert "http" not in whole.replace("http-equiv", "")


def test_what_has_no_content_has_no_heading():
    assert html.section("Title", "", "") == ""
    assert (
        html.table(["a"], [])
        == html.facts({"a": None})
        == html.listing([])
        == html.paragraph("")
        == html.shown(None)
        == ""
    )


def test_on_a_telephone_each_cell_says_what_it_is():
    assert html.table(["a", "b"], [["1", "2"]]).count("data-of=") == 2
    assert 'data-of="b">2</td>' in html.table(["a", "b"], [["1", "2"]])


def test_code_breaks_between_words_only():
    shown = html.code("tensor-optix train --seed 0 " + "x" * 50)
    assert '<span class="whole">--seed</span>' in shown
    assert shown.count("x" * 50) == 1
    assert f'<span class="whole">{"x" * 50}' not in shown
    assert "".join(checked(shown).texts) == "tensor-optix train --seed 0 " + "x" * 50, "it can be copied"

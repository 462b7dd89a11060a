"""YAML as people mean it."""

from __future__ import annotations

import pytest

pytest.importorskip("yaml", reason="PyYAML is not installed")

from tensor_optix.cli.settings.plain_yaml import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("-2.5E+4", -2.5e4), (".5e1", 5.0), ("3", 3), ("0.5", 0.5), ("e3", "e3"), ("x1e-3", "x1e-3")],
)
def test_numbers_are_numbers(text: str, value: object) -> None:
    found = parse_yaml(f"x: {text}".encode())
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "'a' comes twice"),
        ("a: &x [1]\nb: *x", "anchors and references are not read"),
        ("a: !!python/object/apply:os.system ['true']", "python/object"),
        ("a: [", "expected"),
        ("? [1]\n: 2", "unhashable|hashable"),
    ],
)
def test_what_is_more_than_plain_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_yaml(text.encode())


def test_a_billion_laughs_are_refused() -> None:
    lines = ["a: &a [lol]"] + [
        f"{name}: &{name} [*{before}, *{before}]" for before, name in zip("abcdefgh", "bcdefghi", strict=False)
    ]
    with pytest.raises(ValueError, match="anchors"):
        parse_yaml("\n".join(lines).encode())

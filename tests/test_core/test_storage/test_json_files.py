import contextlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tensor_optix.core.storage.json_files import (
    MAX_JSON_BYTES,
    MAX_JSON_PARTS,
    field,
    number_field,
    parse_json,
    read_sealed_json,
    require_jsonable,
    to_jsonable,
    write_sealed_json,
)
from tensor_optix.exceptions import CheckpointError

DOCUMENT = {"name": "run", "n": 3, "x": 0.1, "words": [2**120, -1], "nested": {"flag": True, "none": None}}
finite_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(st.text().filter(lambda key: key != "sha256"), finite_json, max_size=4))
def test_what_was_written_comes_back(tmp_path, document):
    write_sealed_json(tmp_path / "d.json", document)
    assert read_sealed_json(tmp_path / "d.json") == document


def test_flipped_bits_are_noticed_or_mean_the_same(tmp_path):
    path = tmp_path / "d.json"
    write_sealed_json(path, DOCUMENT)
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in (0, 3, 5):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            with contextlib.suppress(CheckpointError):
                assert read_sealed_json(path) == DOCUMENT


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "d.json"
    write_sealed_json(path, DOCUMENT)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # the last byte is the final newline
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"valid JSON|no checksum|does not match"):
            read_sealed_json(path)


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", '{"a": 1, "a": 2}', "", "[" * 100_000, b"\xff\xfe", "9" * 5000],
)
def test_anything_but_strict_json_is_refused(text):
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(CheckpointError, match=r"thing is not valid JSON"):
        parse_json(data, "thing")


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"a": 1}'])
def test_a_document_without_a_seal_is_refused(tmp_path, text):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(CheckpointError, match="no checksum"):
        read_sealed_json(tmp_path / "d.json")


def test_a_document_too_large_to_read_back_is_not_written(tmp_path):
    with pytest.raises(CheckpointError, match="Keep large values as arrays"):
        write_sealed_json(tmp_path / "d.json", {"a": "x" * MAX_JSON_BYTES})
    with pytest.raises(CheckpointError, match="cannot be written as JSON"):
        write_sealed_json(tmp_path / "d.json", {"a": {1, 2}})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, math.nan]}, r"`meta\['a'\]\[1\]` is nan"),
        (np.float32("inf"), "`meta` is inf"),
        ({1: 2}, "keys of `meta` must be strings. Received: 1"),
        ({"a": np.zeros(2)}, "type ndarray, which JSON does not have"),
        ({"a": {1, 2}}, "type set"),
    ],
)
def test_a_state_that_json_cannot_hold_is_refused(value, message):
    with pytest.raises(CheckpointError, match=message):
        require_jsonable(value, "meta")


def test_a_value_that_holds_itself_is_refused():
    loop: list = []
    loop.append(loop)
    with pytest.raises(CheckpointError, match="nested more than 64 levels"):
        require_jsonable(loop, "meta")
    assert isinstance(json.dumps(to_jsonable(loop)), str)


def test_numpy_scalars_and_tuples_become_plain():
    value = {"a": np.float32(0.5), "b": (np.int64(3), np.bool_(True)), "c": None}
    expected = {"a": 0.5, "b": [3, True], "c": None}
    assert require_jsonable(value, "meta") == expected
    assert json.loads(json.dumps(require_jsonable(value, "meta"))) == expected


def test_the_lenient_form_never_fails_and_never_writes_nan():
    value = {
        "nan": math.nan, "inf": -np.inf, "array": np.array([1.0, np.nan]), "path": Path("a"), 3: "int key",
        "object": object, "nested": {"x": np.float64("nan")},
    }  # fmt: skip
    plain = to_jsonable(value)
    assert json.loads(json.dumps(plain, allow_nan=False)) == {
        "nan": None, "inf": None, "array": [1.0, None], "path": "a", "3": "int key",
        "object": "<class 'object'>", "nested": {"x": None},
    }  # fmt: skip


def test_fields():
    document = {"count": 3, "flag": True, "huge": 10**400}
    assert field(document, "count", int, "here") == 3
    assert number_field(document, "count", "here") == 3.0
    with pytest.raises(CheckpointError, match="here: `flag` is True"):
        field(document, "flag", int, "here")
    with pytest.raises(CheckpointError, match="here: `gone` is None"):
        field(document, "gone", int, "here")
    with pytest.raises(CheckpointError, match="too large a number"):
        number_field(document, "huge", "here")


@pytest.mark.parametrize("part", ["[]", '{"a":1}', *(pytest.param(x, marks=pytest.mark.slow) for x in ("1", '""'))])
def test_a_document_of_very_many_parts_is_neither_written_nor_read(tmp_path, part):
    """Sixteen megabytes of empty lists would be a gigabyte in memory."""
    path = tmp_path / "many.json"
    document = {"many": [json.loads(part)] * (MAX_JSON_PARTS + 10)}
    with pytest.raises(CheckpointError, match=r"are allowed. Keep (long|large)"):
        write_sealed_json(path, document)
    path.write_text(json.dumps(document, separators=(",", ":")))
    with pytest.raises(CheckpointError, match=r"has \d+ parts; 1048576 are allowed"):
        read_sealed_json(path)

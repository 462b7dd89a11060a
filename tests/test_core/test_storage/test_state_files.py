import json
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tensor_optix
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.state_files import ARRAYS_FILE, META_FILE, read_agent_state, write_agent_state
from tensor_optix.core.types import AgentState
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

KEPT_DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64",
               "float16", "float32", "float64", "complex64"]  # fmt: skip


def small_state():
    arrays = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "step": np.array(7),
        "flag": np.array([True, False]),
        "none": np.zeros((0, 4)),
    }
    return AgentState(arrays, {"updates": 3, "rng": {"state": 2**127 + 1}}, "all")


def assert_same(left: AgentState, right: AgentState):
    assert left.meta == right.meta
    assert left.scope == right.scope
    assert set(left.arrays) == set(right.arrays)
    for name, array in left.arrays.items():
        other = right.arrays[name]
        assert (array.dtype, array.shape) == (other.dtype, other.shape), name
        assert array.tobytes() == other.tobytes(), name


def rewrite_header(folder, header: bytes, body: bytes = b"", claimed: int | None = None):
    """Put a handmade safetensors file into the folder (the checksum is looked at later)."""
    size = len(header) if claimed is None else claimed
    (folder / ARRAYS_FILE).write_bytes(struct.pack("<Q", size) + header + body)


@pytest.fixture
def folder(tmp_path):
    write_agent_state(tmp_path / "weights", small_state())
    return tmp_path / "weights"


def test_a_state_comes_back_as_it_was(folder):
    assert_same(read_agent_state(folder), small_state())
    assert sorted(os.listdir(folder)) == [META_FILE, ARRAYS_FILE]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays=st.dictionaries(
        st.text(max_size=8).filter(lambda name: name != "__metadata__"),
        st.sampled_from(KEPT_DTYPES).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        ),
        max_size=4,
    )
)
def test_any_arrays_come_back_bit_for_bit(tmp_path, arrays):
    state = AgentState(arrays, {}, "policy")
    write_agent_state(tmp_path / "s", state)
    assert_same(read_agent_state(tmp_path / "s"), state)


def test_the_arrays_are_plain_safetensors(folder):
    """The library's own reader sees the same."""
    loaded = safetensors.numpy.load_file(folder / ARRAYS_FILE)
    np.testing.assert_array_equal(loaded["w"], [[0, 1, 2], [3, 4, 5]])


def test_views_foreign_byte_orders_and_orders_of_axes_come_back(tmp_path):
    base = np.arange(24.0).reshape(3, 4, 2)
    arrays = {"strided": base[:, ::2], "transposed": base.T, "reversed": base[::-1], "big": base.astype(">f8"),
              "both": base.astype(">i2").transpose(1, 2, 0)}  # fmt: skip
    write_agent_state(tmp_path / "s", AgentState(arrays))
    back = read_agent_state(tmp_path / "s")
    assert_same(back, AgentState(arrays))
    assert back.arrays["transposed"].strides == arrays["transposed"].strides
    assert back.arrays["both"].strides == arrays["both"].strides


@pytest.mark.parametrize(
    ("layouts", "message"),
    [
        ([], "`layouts` is"),
        ({"w": {"axes": [0, 1]}, "odd": {"axes": []}}, "`layouts` is"),
        ({"w": 3}, "the layout of 'w' cannot be 3"),
        ({"w": {"axes": [0, 0]}}, "the layout of 'w' cannot be"),
        ({"w": {"axes": ["0", "1"]}}, "the layout of 'w' cannot be"),
    ],
)
def test_layouts_that_no_array_has_are_refused(folder, layouts, message):
    edit_meta(folder, layouts=layouts)
    with pytest.raises(CheckpointError, match=message):
        read_agent_state(folder)


def test_meta_comes_back_in_its_types(tmp_path):
    meta = {"momentum": np.float32(0.1), "betas": (0.9, 0.99), "clip": float("inf"), "means": np.zeros(2, np.float16)}
    write_agent_state(tmp_path / "s", AgentState({}, meta))
    back = read_agent_state(tmp_path / "s").meta
    assert {name: type(value) for name, value in back.items()} == {name: type(value) for name, value in meta.items()}
    assert (back["momentum"], back["betas"], back["clip"]) == (meta["momentum"], meta["betas"], meta["clip"])
    assert back["means"].dtype == np.float16


def test_bfloat16_comes_back_where_its_library_is_there(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    write_agent_state(tmp_path / "s", AgentState({"w": array}))
    assert_same(read_agent_state(tmp_path / "s"), AgentState({"w": array}))


def test_what_was_read_can_be_written_to(folder):
    state = read_agent_state(folder)
    state.arrays["w"][:] = 1
    assert_same(read_agent_state(folder), small_state())


def test_overwriting_a_folder(folder):
    newer = AgentState({"v": np.ones(2)}, {"updates": 4})
    write_agent_state(folder, newer)
    assert_same(read_agent_state(folder), newer)


@pytest.mark.parametrize("name", [ARRAYS_FILE, META_FILE])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        read_agent_state(folder)


@pytest.mark.parametrize("name", [ARRAYS_FILE, META_FILE])
def test_every_truncation_is_noticed(folder, name):
    whole = (folder / name).read_bytes()
    for length in range(len(whole) - (name == META_FILE)):  # JSON may lose its last newline
        (folder / name).write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=str(folder / name)):
            read_agent_state(folder)


@pytest.mark.parametrize("name", [ARRAYS_FILE, META_FILE])
def test_every_flipped_bit_is_noticed_or_means_the_same(folder, name):
    whole = (folder / name).read_bytes()
    noticed = 0
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        (folder / name).write_bytes(flipped)
        try:
            assert_same(read_agent_state(folder), small_state())
        except CheckpointError:
            noticed += 1
    assert noticed == len(whole) if name == ARRAYS_FILE else noticed > 0.7 * len(whole)


def test_a_longer_file_is_refused(folder):
    with (folder / ARRAYS_FILE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(CheckpointError, match="truncated or altered"):
        read_agent_state(folder)


def test_a_file_swapped_for_another_whole_one_is_refused(folder, tmp_path):
    write_agent_state(tmp_path / "other", AgentState({"w": np.zeros(3)}))
    os.replace(tmp_path / "other" / ARRAYS_FILE, folder / ARRAYS_FILE)
    with pytest.raises(CheckpointError, match=r"does not match the checksum in state\.json"):
        read_agent_state(folder)


@pytest.mark.parametrize(
    ("header", "body", "claimed", "message"),
    [
        (b"{}", b"", 2**62, "claims a header of"),
        (b"{}", b"", 3, "claims a header of 3 bytes"),
        (b"[]", b"", None, "must be an object. Received: list"),
        (b'{"a":', b"", None, "not valid JSON"),
        (b'{"a":3}', b"", None, "expected dtype, shape and data_offsets"),
        (b'{"a":{"dtype":"U8","shape":[1]}}', b"x", None, "expected dtype, shape and data_offsets"),
        (b'{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,1]}}', b"x", None, "expected one of BOOL"),
        (b'{"a":{"dtype":"U8","shape":[4000000000],"data_offsets":[0,1]}}', b"x", None, "does not fit its bytes"),
        (b'{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', b"x", None, "whole numbers from 0"),
        (b'{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', b"x", None, "whole numbers from 0"),
        (b'{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}', b"x", None, "whole numbers from 0"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}', b"x", None, "whole numbers from 0"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"xx", None, "overlap or leave gaps"),
        (b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
         b"xx", None, "overlap or leave gaps"),
        (b'{"a":{"dtype":"U8","shape":[9000000000000],"data_offsets":[0,9000000000000]}}', b"x", None,
         "declares 9000000000000 bytes of arrays but holds 1"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"xyz", None,
         "declares 1 bytes of arrays but holds 3"),
    ],
)  # fmt: skip
def test_handmade_headers_are_refused(folder, header, body, claimed, message):
    rewrite_header(folder, header, body, claimed)
    with pytest.raises(CheckpointError, match=message):
        read_agent_state(folder)


header_entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "F32", "F64", "BOOL", "X", 3, None]),
        "shape": st.lists(st.integers(-2, 2**63) | st.none(), max_size=3),
        "data_offsets": st.lists(st.integers(-2, 2**63), min_size=1, max_size=3),
    }
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.dictionaries(st.text(max_size=4), header_entries | st.integers() | st.none(), min_size=1, max_size=3)
    .map(lambda h: json.dumps(h).encode())
    .flatmap(lambda data: st.just(data) | st.binary(max_size=64)),
    body=st.binary(max_size=32),
    claimed=st.none() | st.integers(0, 2**64 - 1),
)
def test_fuzzed_headers_are_refused(folder, header, body, claimed):
    rewrite_header(folder, header, body, claimed)
    with pytest.raises(CheckpointError):
        read_agent_state(folder)


def test_links_that_lead_outside_are_refused(folder, tmp_path):
    for name in (ARRAYS_FILE, META_FILE):
        os.replace(folder / name, tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
        with pytest.raises(UnsafeFileError, match="leads outside"):
            read_agent_state(folder)
        (folder / name).unlink()
        os.replace(tmp_path / name, folder / name)


def edit_meta(folder, **changes):
    write_sealed_json(folder / META_FILE, {**read_sealed_json(folder / META_FILE), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "recipe"}, "is no agent state; its format is 'recipe'"),
        ({"version": 2}, "format version 2; this release reads 1"),
        ({"meta": [1]}, "`meta` must be an object"),
        ({"scope": "everything"}, "has scope 'everything'"),
        ({"scope": ["all"]}, "has scope"),
    ],
)
def test_documents_that_say_something_else_are_refused(folder, changes, message):
    edit_meta(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        read_agent_state(folder)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (AgentState({}, {"loss": float("nan")}), r"`meta\['loss'\]` is nan"),
        (AgentState({}, {"f": print}), "type builtin_function_or_method"),
        (AgentState({"a": np.array(["text"])}), "'a' has dtype <U4"),
        (AgentState({"a": np.array([None])}), "dtype object"),
        (AgentState({"a": np.zeros(1, np.complex128)}), "dtype complex128"),
        (AgentState({"__metadata__": np.zeros(1)}), "name that cannot be kept"),
    ],
)
def test_states_that_cannot_be_kept_are_refused_before_anything_is_written(tmp_path, state, message):
    with pytest.raises(CheckpointError, match=message):
        write_agent_state(tmp_path / "s", state)
    assert not (tmp_path / "s").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"Could not write the folder .*file"):
        write_agent_state(tmp_path / "file", small_state())
    with pytest.raises(CheckpointError, match="Could not write the folder"):
        write_agent_state(tmp_path / "file" / "below", small_state())


def test_a_full_disk_keeps_what_was_there(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"Could not write .*File too large"):
            write_agent_state(folder, AgentState({"w": np.ones(50_000)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_same(read_agent_state(folder), small_state())
    assert sorted(os.listdir(folder)) == [META_FILE, ARRAYS_FILE]


MEMORY_PROBE = """
import resource, sys
import numpy as np
from tensor_optix.core.storage.state_files import write_agent_state
from tensor_optix.core.types import AgentState
state = AgentState({"replay": np.ones((100, 1 << 20), np.uint8)})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_agent_state(sys.argv[1], state)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_writing_100_mib_does_not_double_memory(tmp_path):
    home = Path(tensor_optix.__file__).parents[1]
    command = [sys.executable, "-c", MEMORY_PROBE, str(tmp_path / "s")]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20  # MiB

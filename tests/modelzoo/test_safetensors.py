"""The safetensors reader: every claim of a header is checked before a byte is taken."""

import json

import numpy as np
import pytest

from modelzoo.weights import WeightsError
from modelzoo.weights.safetensors import read_safetensors, widened_bfloat16
from tests.modelzoo.torch_files import safetensors


@pytest.fixture
def read(tmp_path):
    def read_bytes(content: bytes) -> dict[str, np.ndarray]:
        (tmp_path / "a.safetensors").write_bytes(content)
        return read_safetensors(tmp_path / "a.safetensors")

    return read_bytes


def entry(dtype: str, shape: list, begin: int, stop: int) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, stop]}


@pytest.mark.parametrize(
    ("code", "stored", "given"),
    [
        ("F64", np.array([0.1], "<f8"), np.float64(0.1)),
        ("F32", np.array([0.1], "<f4"), np.float32(0.1)),
        ("F16", np.array([0.5], "<f2"), np.float16(0.5)),
        ("BF16", np.array([0xC010], "<u2"), np.float32(-2.25)),
        ("I64", np.array([-(2**60)], "<i8"), np.int64(-(2**60))),
        ("I32", np.array([-7], "<i4"), np.int32(-7)),
        ("I16", np.array([-7], "<i2"), np.int16(-7)),
        ("I8", np.array([-7], "i1"), np.int8(-7)),
        ("U64", np.array([2**63], "<u8"), np.uint64(2**63)),
        ("U16", np.array([65535], "<u2"), np.uint16(65535)),
        ("U8", np.array([255], "u1"), np.uint8(255)),
        ("BOOL", np.array([1], "u1"), np.bool_(True)),
    ],
)
def test_every_dtype_keeps_its_numbers(code, stored, given, read):
    array = read(safetensors({"a": entry(code, [1], 0, stored.nbytes)}, stored.tobytes()))["a"]
    assert array.dtype == given.dtype
    assert array[0] == given


def test_shapes_order_and_metadata(read):
    header = {
        "__metadata__": {"format": "pt"},
        "second": entry("F32", [2, 2], 4, 20),
        "scalar": entry("F32", [], 0, 4),
        "empty": entry("F32", [0, 3], 20, 20),
    }
    arrays = read(safetensors(header, np.arange(5, dtype="<f4").tobytes()))
    assert {name: array.shape for name, array in arrays.items()} == {"scalar": (), "second": (2, 2), "empty": (0, 3)}
    np.testing.assert_array_equal(arrays["second"], [[1, 2], [3, 4]])
    arrays["second"][:] = 0
    assert read(safetensors({}, b"")) == {}


def test_bfloat16_is_the_upper_half_of_float32():
    bits = np.array([[0x3F80, 0x7F80], [0x8000, 0x0001]], np.uint16)
    np.testing.assert_array_equal(widened_bfloat16(bits), [[1, np.inf], [-0.0, 2.0**-133]])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x00" * 4, "truncated: 4 bytes"),
        (safetensors({}, b"", length=10**6), "header should have 1,000,000 bytes"),
        (safetensors({}, b"", length=2**63), "header should have 9,223"),
        (safetensors({}, b"", length=0), "header should have 0 bytes"),
        (safetensors(b"{]", b""), "no JSON"),
        (safetensors(b"\xff\xff", b""), "no JSON"),
        (safetensors(b"[" * 100_000, b""), "no JSON"),
        (safetensors(b"[]", b""), "a list, not an object"),
        (safetensors(b'{"a":1,"a":2}', b""), "a name stands twice"),
        (safetensors({"a": 1}, b""), "not described"),
        (safetensors({"a": {"dtype": "F32"}}, b""), "not described"),
        (safetensors({"a": entry("F8_E4M3", [1], 0, 1)}, b"x"), "dtype 'F8_E4M3'; expected one of F64"),
        (safetensors({"a": entry("F32", [2], 0, 8)}, bytes(7)), "bytes 0 to 8 of 7: the file is truncated"),
        (safetensors({"a": entry("F32", [2], 8, 0)}, bytes(8)), "bytes 8 to 0"),
        (safetensors({"a": entry("F32", [3], 0, 8)}, bytes(8)), r"has 8 bytes; its shape \(3,\) of F32 needs 12"),
        (safetensors({"a": entry("F32", [-2], 0, 8)}, bytes(8)), "no lists of numbers"),
        (safetensors({"a": entry("F32", [2.0], 0, 8)}, bytes(8)), "no lists of numbers"),
        (safetensors({"a": entry("F32", [True], 0, 4)}, bytes(4)), "no lists of numbers"),
        (safetensors({"a": entry("F32", [1] * 40, 0, 4)}, bytes(4)), "no lists of numbers"),
        (safetensors({"a": entry("F32", [0, 2**62], 0, 0)}, b""), "absurd size"),
        (safetensors({"a": entry("F32", [2**60, 2**60], 0, 4)}, bytes(4)), "absurd size"),
        (
            safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6)),
            "'b' begins at byte 2; expected 4",
        ),
        (safetensors({"a": entry("U8", [4], 2, 6)}, bytes(6)), "begins at byte 2; expected 0"),
        (safetensors({"a": entry("U8", [4], 0, 4)}, bytes(6)), "arrays end at byte 4, the file at 6"),
        (safetensors(json.dumps({"a": entry("U8", ["9" * 9], 0, 4)}).encode(), bytes(4)), "no lists of numbers"),
    ],
)
def test_a_header_that_lies_is_refused(content, told, read):
    with pytest.raises(WeightsError, match=told):
        read(content)

"""Dicts of NumPy arrays: the numbers NumPy would give, and nothing of a file is ever executed."""

import io
import pickle
import struct

import numpy as np
import pytest

from modelzoo.weights import WeightsError
from modelzoo.weights.numpy_dict import read_numpy_dict

KERNEL = np.arange(12, dtype=np.float32).reshape(2, 2, 1, 3)
BIAS = np.array([0.5, -1.5, 2.0])


@pytest.fixture
def read(tmp_path):
    def read_bytes(content: bytes, name: str = "weights.npy") -> dict[str, np.ndarray]:
        (tmp_path / name).write_bytes(content)
        return read_numpy_dict(tmp_path / name)

    return read_bytes


def saved(value, protocol=2):
    """What ``np.save`` writes for a dict, with the pickle protocol of the time."""
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(file, header)
    holder = np.empty((), object)
    holder[()] = value
    return file.getvalue() + pickle.dumps(holder, protocol=protocol)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_saved_dict_of_lists_of_arrays(read, protocol):
    value = {"conv1": [KERNEL, BIAS], "fc": [KERNEL.T, KERNEL[0]], "epoch": 3, "scale": np.float64(0.5), "name": "net"}
    for content in (saved(value, protocol), pickle.dumps(value, protocol=protocol)):
        found = read(content)
        assert list(found) == ["conv1.0", "conv1.1", "fc.0", "fc.1"]
        for name, array in zip(found, (KERNEL, BIAS, KERNEL.T, KERNEL[0]), strict=True):
            assert found[name].dtype == array.dtype
            assert found[name].flags.c_contiguous
            np.testing.assert_array_equal(found[name], array)
            found[name][...] = 0


def test_what_numpy_itself_saves(tmp_path):
    np.save(tmp_path / "weights.npy", {"conv1": [KERNEL, BIAS]}, allow_pickle=True)
    found = read_numpy_dict(tmp_path / "weights.npy")
    np.testing.assert_array_equal(found["conv1.0"], KERNEL)


def test_what_python_2_saved(read):
    # Texts were bytes then: SHORT_BINSTRING for names and for the numbers themselves.
    def text(content):
        return b"U" + bytes([len(content)]) + content

    numbers = np.array([1.5, -2.0], "<f4").tobytes()
    dtype = (
        b"cnumpy\ndtype\n"
        + text(b"f4")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    state = b"(K\x01K\x02\x85" + dtype + b"\x89" + text(numbers) + b"tb"
    content = b"\x80\x02}" + text(b"conv1") + b"]" + array + state + b"as."
    np.testing.assert_array_equal(read(content)["conv1.0"], np.float32([1.5, -2.0]))


def test_big_endian_and_empty_arrays(read):
    found = read(pickle.dumps({"a": BIAS.astype(">f8"), "b": np.zeros((0, 3), np.float32), 7: np.array(5, np.int64)}))
    np.testing.assert_array_equal(found["a"], BIAS)
    assert found["a"].dtype == np.dtype("f8")
    assert (found["b"].shape, found["7"].shape) == ((0, 3), ())


class Calls:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(print, ("run",)), (eval, ("1",)), (bytearray, (10**12,)), (np.zeros, (10**12,)), (np.load, ("x",))],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_call_is_refused_and_not_made(read, capsys, function, arguments, protocol):
    with pytest.raises(WeightsError, match="refused at the global"):
        read(saved({"a": KERNEL, "b": Calls(function, arguments)}, protocol))
    assert capsys.readouterr().out == ""


def header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
F4 = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87R"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\x89HDF\r\n\x1a\n", "begins with"),
        (b"\x93NUMPY", "truncated"),
        (header(b"{'descr': '<f4', 'shape': (2,), 'fortran_order': False}"), "one array without a name"),
        (header(b"{'descr': '|O', 'shape': (2,), 'fortran_order': False}"), "one array without a name"),
        (header(b"__import__('os')"), "neither dtype nor shape"),
        (header(b"{'descr': '|O'}"), "neither dtype nor shape"),
        (saved({"a": KERNEL})[:-30], "truncated"),
        (pickle.dumps(KERNEL), "a single array"),
        (saved({"a": 1}), "holds no array"),
        (saved({"a": {"b": BIAS}, "a.b": BIAS}), "two arrays called 'a.b'"),
        (pickle.dumps({("a",): BIAS}), "expected a name"),
        (pickle.dumps({"a": np.array(["x"])}), "numbers of the kind 'U1'"),
        (b"\x80\x02}U\x01a" + ARRAY + b"(K\x01K\x09\x85" + F4 + b"\x89C\x04abcdtbs.", r"shape \(9,\).*holds 4 bytes"),
        (b"\x80\x02}U\x01a" + ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + F4 + b"\x89C\x00tbs.", "no tuple of numbers"),
        (b"\x80\x02}U\x01a" + ARRAY + b"K\x01bs.", "a state that is no tuple"),
        (b"\x80\x02}U\x01a" + ARRAY + b"(K\x01tbs.", "without shape, dtype and numbers"),
        (b"\x80\x02}U\x01aK\x01\x85K\x02R.", "refused at a call of a tuple"),
        (b"\x80\x02U\x01aPx\n.", "refused at the pickle instruction PERSID"),
        (b"\x80\x02h\x05.", "memo 5 was never stored"),
        (b"\x80\x02t.", "a mark is missing"),
        (b"\x80\x02}q\x00U\x01ah\x00s.", "deep, or hold too much"),
        (b"\x80\x02}", "truncated"),
    ],
)
def test_a_file_that_lies_is_refused(content, told, read):
    with pytest.raises(WeightsError, match=told):
        read(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no file .*weights.npy"):
        read_numpy_dict(tmp_path / "weights.npy")

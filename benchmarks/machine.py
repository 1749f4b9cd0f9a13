"""The machine and the versions that a run was made with."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import zlib
from pathlib import Path

_PACKAGES = ("prometheus-client", "pydantic", "pydantic-core", "requests", "urllib3")
_PROGRAMS = {"go": ("go", "version"), "nginx": ("nginx", "-v"), "prometheus": ("prometheus", "--version")}


def describe() -> dict[str, str]:
    """Return what has to be known to compare two runs."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, zlib {zlib.ZLIB_RUNTIME_VERSION}",
        "packages": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES),
        "client_golang": _client_golang(),
        **{name: _version(argv) for name, argv in _PROGRAMS.items()},
    }


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _version(argv: tuple[str, ...]) -> str:
    if shutil.which(argv[0]) is None:
        return "not installed"
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    return (done.stdout + done.stderr).splitlines()[0].strip()


def _client_golang() -> str:
    query = ["dpkg-query", "-W", "-f", "${Version}", "golang-github-prometheus-client-golang-dev"]
    if shutil.which(query[0]) is None:
        return "unknown"
    return subprocess.run(query, capture_output=True, text=True, check=False, timeout=30).stdout or "not installed"

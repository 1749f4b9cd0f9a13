"""Measure the structure of the source: `python -m scripts.structure` prints the table, so that drift can be seen.

Moves are calls from one module of exporter/ into another, found with sys.setprofile while the installed command serves
its demo: of one poll of one automation that shows new clicks, with a key known by then, and of one compressed scrape.
With -v the calls follow, by modules.
"""

import ast
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tokenize
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("exporter", "sendgrid_simulator")
SHORT: Final = 100
TINY: Final = 60
POLLER: Final = "exporter/polling/poller"
EXPOSITION: Final = "exporter/exposition"
_PATIENCE: Final = 30.0
_POLLING: Final = 15.0
"""Seconds of polls that are looked at: the first of them wait for the one that tries the key."""
_PROFILED: Final = "STRUCTURE_PORT"
"""In the environment of the profiled process: where it serves."""


def main() -> int:
    """Print the table, one figure a line."""
    if _PROFILED in os.environ:
        return _profiled(int(os.environ[_PROFILED]))
    for package in PACKAGES:
        files = {_name(path): path for path in sorted((ROOT / package).rglob("*.py"))}
        lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in files.items()}
        importers = _importers(files)
        once = sorted(name for name in files if len(importers[name]) == 1)
        print(f"{package}: {len(files)} modules, {sum(lines.values())} lines")
        print(f"  under {SHORT} lines: {sum(count < SHORT for count in lines.values())}")
        print(f"  with one importer: {len(once)}")
        tiny = [name for name in once if lines[name] < TINY]
        print(f"  both one importer and under {TINY} lines: {len(tiny)} {' '.join(tiny)}")
        print(f"  longest: {max(lines.values())} {max(lines, key=lambda name: lines[name])}")
        print(f"  comment lines: {100 * sum(map(_comments, files.values())) / sum(lines.values()):.1f} %")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = {**os.environ, _PROFILED: str(port)}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.structure", *sys.argv[1:]], env=environment, cwd=ROOT, check=False
    )
    return done.returncode


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _importers(files: dict[str, Path]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets: list[str] = []
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                targets = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for target in targets:
                if target in found and target != name:
                    found[target].add(name)
    return found


def _comments(path: Path) -> int:
    """Count lines that hold a comment and nothing else, but for the words of linters."""
    with path.open("rb") as source:
        return sum(
            token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")
            for token in tokenize.tokenize(source.readline)
        )


class _Moves:
    """Counts calls between modules of exporter/, by what is being done; of polls that render, it keeps the shortest."""

    def __init__(self) -> None:
        self.scraping = False
        self.scrape: Counter[tuple[str, str]] = Counter()
        self.poll: Counter[tuple[str, str]] = Counter()
        self._polling = threading.local()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take one event of sys.setprofile."""
        if event not in {"call", "return"} or (module := _ours(frame)) is None:
            return
        if frame.f_code.co_qualname == "Poller.poll":
            self._turn(event)
        if event == "return":
            return
        caller = next((name for name in _callers(frame) if name), None)
        if caller is None or caller == module:
            return
        if (current := getattr(self._polling, "moves", None)) is not None:
            current[caller, module] += 1
        elif self.scraping and threading.current_thread().name.startswith("web"):
            self.scrape[caller, module] += 1

    def _turn(self, event: str) -> None:
        if event == "call":
            self._polling.moves = Counter()
            return
        moves, self._polling.moves = self._polling.moves, None
        renders = any(caller == POLLER and module == EXPOSITION for caller, module in moves)
        if renders and (not self.poll or moves.total() < self.poll.total()):
            self.poll = moves


def _ours(frame: FrameType) -> str | None:
    path = frame.f_code.co_filename
    return path[len(str(ROOT)) + 1 : -3] if path.startswith(f"{ROOT}/exporter/") else None


def _callers(frame: FrameType) -> Iterator[str | None]:
    back = frame.f_back
    while back is not None:
        yield _ours(back)
        back = back.f_back


def _profiled(port: int) -> int:
    """Be the exporter, with every call between its modules counted, for one poll and one scrape."""
    from exporter.__main__ import main as exporter  # noqa: PLC0415  # only this process is the exporter
    from exporter.signals import hold_back  # noqa: PLC0415

    hold_back()  # before the thread below, which would die of the signal that ends the exporter
    moves = _Moves()
    threading.setprofile(moves)
    sys.argv = [
        sys.argv[0],
        "--demo",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        "--poll.interval=10s",
    ]
    threading.Thread(target=_scrape, args=(port, moves), daemon=True).start()
    exporter()
    return 0


def _scrape(port: int, moves: _Moves) -> None:
    sys.setprofile(None)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": "gzip"})
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and not (moves.poll and _answers(request)):
        time.sleep(0.1)
    time.sleep(_POLLING)
    _answers(request)  # so that the next one finds most of it put together already, as a usual scrape does
    time.sleep(0.1)  # until the end of that connection is done with
    moves.scraping = True
    _answers(request)
    moves.scraping = False
    for what, found in (("poll", moves.poll), ("scrape", moves.scrape)):
        modules = {module for pair in found for module in pair}
        print(f"one {what}: {len(modules)} modules, {sum(found.values())} moves")
        for (caller, module), count in sorted(found.items()) if "-v" in sys.orig_argv else ():
            print(f"    {count:3} {caller} -> {module}")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGTERM)


def _answers(request: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  # loopback
            return bool(answer.read())
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())

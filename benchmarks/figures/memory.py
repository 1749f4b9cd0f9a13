"""What the exporter keeps in memory: for each series, at rest, and while many read slowly."""

import socket
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.bench import Bench
from benchmarks.programs import Program
from benchmarks.report import Row
from benchmarks.scraper import OPENMETRICS, OWN_FAMILIES_LEFT_OUT, TEXT, Request, Scraper, answer_length
from benchmarks.workload import Workload

KINDS: Final = tuple(
    Request(compressed=compressed, accept=accept, query=query)
    for compressed in (True, False)
    for accept in (TEXT, OPENMETRICS)
    for query in ("", OWN_FAMILIES_LEFT_OUT)
)
SCRAPES_OF_EACH: Final = 10
READERS: Final = 50
_READ_SECONDS: Final = 8.0
_SLOW_PIECE: Final = 16 * 1024
_PAUSE: Final = 0.1


def measure(bench: Bench) -> Iterator[Row]:
    """Yield memory a series, and the peak of slow readers, at the largest size."""
    size, links = bench.largest
    with bench.ours(Workload(0)).ready() as empty:
        _scrape_all(empty)
        idle = empty.resident()
    workload = Workload(links)
    with bench.ours(workload).ready() as ours:
        filled = ours.resident()
        _scrape_all(ours)
        rest, peak = ours.resident(), ours.peak()
        raw = {"idle_bytes": idle, "filled_bytes": filled, "rest_bytes": rest, "peak_bytes": peak}
        figure = f"memory a series above the idle process, {size}, after {SCRAPES_OF_EACH} scrapes of each kind"
        n = SCRAPES_OF_EACH * len(KINDS)
        yield Row.at_most(f"memory-{size}", figure, (rest - idle) / links, 24, unit="B", n=n, raw=raw)
        figure = f"the same at its peak, {size}"
        yield Row(f"memory-peak-{size}", figure, value=(peak - idle) / links, unit="B", n=n, raw=raw)
        yield _slow_readers(bench, ours, size)
        for number in range(workload.automations):
            ours.ask(do="change", number=number, clicked=1)
        Scraper(ours.port, Request()).scrape()
        figure = f"memory a series once every automation has changed, {size}"
        held = (ours.resident() - idle) / links
        yield Row.at_most(f"memory-changed-{size}", figure, held, 32, unit="B", n=workload.automations)


def _scrape_all(program: Program) -> None:
    for kind in KINDS:
        scraper = Scraper(program.port, kind)
        for _ in range(SCRAPES_OF_EACH):
            scraper.scrape()


def _slow_readers(bench: Bench, ours: Program, size: str) -> Row:
    peaks = {}
    for name, request in (("gzip", Request()), ("plain", Request(compressed=False))):
        bench.say(f"{READERS} slow readers, {name}")
        rest = ours.resident()
        ours.forget_peak()
        served = read_slowly(ours.port, request, READERS, _READ_SECONDS)
        peaks[name] = {"above_rest_mb": (ours.peak() - rest) / 1e6, "served": served}
        if served < READERS:
            raise OSError(f"only {served} of {READERS} slow readers were served {name}")
    worst = max(float(each["above_rest_mb"]) for each in peaks.values())
    figure = f"peak memory of {READERS} slow readers of {size} series above rest"
    return Row.at_most(f"slow-readers-{size}", figure, worst, 60, unit="MB", n=READERS, raw=peaks)


def read_slowly(port: int, request: Request, readers: int, seconds: float) -> int:
    """Let so many clients read a little now and then; return how many were served as far as they read."""
    clients = [SlowReader(port, request) for _ in range(readers)]
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(client.reading for client in clients):
            for client in clients:
                client.take_a_piece()
            time.sleep(_PAUSE)
        return sum(not client.cut for client in clients)
    finally:
        for client in clients:
            client.close()


class SlowReader:
    """A client that asks for everything and takes little of it at a time."""

    def __init__(self, port: int, request: Request) -> None:
        self._left: int | None = None
        self.reading = True
        self.cut = False
        self._connection = socket.socket()
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_PIECE)
        self._connection.settimeout(30.0)
        self._connection.connect(("127.0.0.1", port))
        self._connection.sendall(request.encoded(port))

    def take_a_piece(self) -> None:
        """Read once, if there is still something to come."""
        if not self.reading:
            return
        try:
            piece = self._connection.recv(_SLOW_PIECE)
        except OSError:
            piece = b""
        self._left = answer_length(piece) - len(piece) if self._left is None else self._left - len(piece)
        self.reading = bool(piece) and self._left > 0
        self.cut = not piece and self._left > 0

    def close(self) -> None:
        """Close the connection, whatever is still to come."""
        self._connection.close()

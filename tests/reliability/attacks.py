"""Answers made to fill the exporter's memory, given to its process by all automations at once, and what they take."""

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from exporter.sendgrid.wire import LARGEST_BODY, MOST_ROWS
from tests.end_to_end.harness.process import ExporterProcess
from tests.end_to_end.harness.waiting import wait_until

_WORKERS: Final = 4
_IDS: Final = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(2 * _WORKERS))
_MINIMAL: Final = b'{"url":"","step_id":"","clicks":1}'


@dataclass(frozen=True)
class Answer:
    """What the hostile server answers."""

    body: bytes
    status: int = 200
    encoding: str = ""


Attack = Callable[[int], Answer]
"""Makes the answer to the request for the page of that number, from 1 on."""


def _filled(begin: bytes, piece: bytes, end: bytes, size: int = LARGEST_BODY) -> bytes:
    """Return a body of about the size, of as many pieces as go into it, with commas between them."""
    times = (size - len(begin) - len(end)) // (len(piece) + 1)
    return begin + b",".join([piece] * times) + end


def _always(answer: Answer) -> Attack:
    return lambda _: answer


def _packed(body: bytes) -> Answer:
    return Answer(gzip.compress(body), encoding="gzip")


def _paged(pages: int, rows: int, row: bytes) -> Attack:
    """Give a list whose pages agree with each other; only its size is hostile."""

    def answer(number: int) -> Answer:
        count = pages * rows
        metadata = {"count": count, **({"next": f"?page_token={number + 1}"} if number < pages else {})}
        end = b'],"total_clicks":%d,"_metadata":%s}' % (count, json.dumps(metadata).encode())
        return Answer(b'{"results":[' + b",".join(row % place for place in _places(number, rows)) + end)

    return answer


def _places(page: int, rows: int) -> Iterator[int]:
    return iter(range((page - 1) * rows, page * rows))


_ROW: Final = b'{"url":"https://shop.example/","step_id":"11111111-2222","clicks":1,"url_location":%d}'

ATTACKS: Final[Mapping[str, Callable[[], Attack]]] = {
    "1 kB of gzip with 350,000 empty rows": lambda: _always(_packed(b'{"results":[' + b"{}," * 350_000 + b"{}]}")),
    "8 MB of empty rows": lambda: _always(_packed(_filled(b'{"results":[', b"{}", b"]}"))),
    "4 pages of 8 MB of minimal rows": lambda: _always(
        Answer(_filled(b'{"results":[', _MINIMAL, b'],"total_clicks":1,"_metadata":{"next":"?page_token=2"}}'))
    ),
    "8 MB of numbers": lambda: _always(_packed(_filled(b'{"x":[', b"1", b'],"results":[]}'))),
    "8 MB of small objects": lambda: _always(_packed(_filled(b'{"x":[', b'{"a":1}', b'],"results":[]}'))),
    "8 MB of lists that are no UTF-8": lambda: _always(_packed(_filled(b'{"x":["\xff"', b"[]", b'],"results":[]}'))),
    "8 MB of halves of surrogates": lambda: _always(_packed(_filled(b'{"x":[', rb'"\ud83d"', b'],"results":[]}'))),
    "answers of 9 MB": lambda: _always(Answer(b"x" * (9 * 1024 * 1024))),
    "a text of 7 MB with an emoji": lambda: _always(
        Answer(json.dumps({"results": [{"url": "\U0001f600" + "x" * 7_000_000, "step_id": "", "clicks": 1}],
                           "total_clicks": 1}, ensure_ascii=False).encode())
    ),
    "errors of 8 MB of lists": lambda: _always(Answer(_filled(b'{"errors":[', b"[]", b"]}"), 500)),
    "2 pages of as many rows as a page may have": lambda: _paged(2, MOST_ROWS, _ROW),
    "pages of 1,000 rows without an end": lambda: _paged(10_000, 1000, _ROW),
}  # fmt: skip


@contextmanager
def _server(attack: Attack) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            token = parse_qs(urlsplit(self.path).query).get("page_token", ["1"])[0]
            answer = attack(int(token))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            if answer.encoding:
                self.send_header("Content-Encoding", answer.encoding)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Pass over the exporter's hanging up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Taken:
    """What the exporter's process took while it met one attack, in MB."""

    name: str
    before: float
    peak: float
    after: float
    polls: Mapping[str, int]
    """By their outcome."""


_HONEST: Final = _always(Answer(b'{"results":[],"total_clicks":0,"_metadata":{"count":0}}'))


GOOD: Final = {"2 pages of as many rows as a page may have"}
"""Large, but right: these are published."""


def attacked(names: Iterable[str], polls: int) -> Iterator[Taken]:
    """Let one exporter meet the attacks in turn, each in so many polls of eight automations, and heal in the end.

    Its four workers poll each automation every second, so a list that has to wait for another's memory gives up soon.
    """
    attack = _HONEST
    with _server(lambda page: attack(page)) as base_url, _exporter(base_url) as exporter:  # noqa: PLW0108  # it changes
        wait_until(lambda: exporter.get("/-/ready").status == 200, "every automation was tried", seconds=30)
        for name in names:
            Path(f"/proc/{exporter.pid}/clear_refs").write_text("5")  # the peak counts from here on
            before, already = _status(exporter, "VmRSS"), _polls(exporter)
            attack = ATTACKS[name]()
            done = sum(already.values()) + polls
            wait_until(lambda done=done: sum(_polls(exporter).values()) >= done, name, seconds=30.0 + polls)
            if name in GOOD:  # on a busy machine, some of its polls are too late
                good = already["success"]
                wait_until(lambda good=good: _polls(exporter)["success"] > good, name, seconds=60.0)
            met = {outcome: count - already[outcome] for outcome, count in _polls(exporter).items()}
            peak, after = _status(exporter, "VmHWM"), _status(exporter, "VmRSS")
            yield Taken(name, before, peak, after, {outcome: count for outcome, count in met.items() if count})
        attack = _HONEST
        wait_until(lambda: _up(exporter) == len(_IDS), "all heal", seconds=30)


def _exporter(base_url: str) -> ExporterProcess:
    flags = (
        f"--sendgrid.base-url={base_url}",
        "--sendgrid.requests-per-minute=100000",
        "--poll.interval=1s",
        f"--poll.concurrency={_WORKERS}",
        f"--automations={','.join(_IDS)}",
    )
    return ExporterProcess(*flags, env={"SENDGRID_API_KEY": "SG.key"})


def _up(exporter: ExporterProcess) -> float:
    return sum(value for (name, _), value in exporter.samples().items() if name == "sendgrid_exporter_automation_up")


def _polls(exporter: ExporterProcess) -> dict[str, int]:
    name = "sendgrid_exporter_polls_total"
    return {dict(labels)["outcome"]: int(value) for (each, labels), value in exporter.samples().items() if each == name}


def _status(exporter: ExporterProcess, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{exporter.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024

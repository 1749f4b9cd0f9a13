"""Log lines as logfmt or JSON, on stderr: without the key, bounded, and never blocking the thread that logs."""

import asyncio
import json
import logging
import os
import re
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

_log = logging.getLogger(__name__)

_PLAIN: Final = re.compile(r"[^\s\"=\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LIBRARIES: Final = ("urllib3", "asyncio")
"""Their debug lines show headers or bodies, so only warnings and above are logged, whatever the level."""
_OWN: Final = "exporter"
_LONGEST_LINE: Final = 8192
_FRAME: Final = 400
"""Room for a line's time, level, logger and the names of its fields."""
_LONGEST_LOGGER: Final = 100
_LEAST_SECRET: Final = 8
"""Hiding anything shorter would remove letters from ordinary words, and thereby reveal them."""
_QUEUED: Final = 1000
"""Maximum number of queued lines; with lines of maximum length they take 8 MB."""
_PATIENCE: Final = 2.0
"""Additional seconds at the end for a thread that has not started on its lines."""
_QUIET_SECONDS: Final = 10.0
"""Seconds after which the number of lines beyond the burst is logged."""
_OWN_BURST: Final = 100
"""Lines of one kind at once: every automation may begin to fail at the same moment."""
_FOREIGN_BURST: Final = 5
_LONGEST_KIND: Final = 60
_MOST_KINDS: Final = 1000
_EXTRA: Final = ("automation_id", "automation", "outcome", "status", "url")
"""Attributes of a record that are fields of its line, in this order, where it has them."""
_LONGEST_EXTRA: Final = 600
_LEFT_OUT: Final = "left_out"
"""The record's attribute that says how many lines of its kind were counted before it instead of written."""

_ERASED: Final = "\r\x1b[K"
"""Takes a terminal back to the beginning of the line, and empties it."""

Secrets = Callable[[], tuple[str, ...]]
"""Returns what no line may show; never waits."""
_PERIOD: Final = 60.0


class LineWriter:
    """Writes lines in a separate thread, so that logging never waits for the reader.

    A line that finds the queue full, or that cannot be written, is dropped and counted. The log says so when lines
    can be written again. Use it with `with`: the end waits for what is queued, but not for long.
    """

    def __init__(self, descriptor: int | None) -> None:
        """Write to the file descriptor; None where stderr was closed before the start, and every line is dropped."""
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._lines: deque[str] = deque()
        self._writing = False
        self.dropped = 0
        """How many lines were dropped so far."""
        self._reported = 0
        self.is_terminal = descriptor is not None and os.isatty(descriptor)
        self._status = self._drawn = ""
        self.on_quiet: Callable[[], None] = lambda: None
        """Called when no line came for some seconds."""

    def __enter__(self) -> Self:
        # A daemon: a thread that waits for the reader of a full pipe cannot be ended otherwise.
        threading.Thread(target=self._run, name="log", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A writer that has not come to the lines is only slow, on a busy machine; one that writes waits for a reader.
        if not self.flush() and not self._writing:
            self.flush(_PATIENCE)

    def put(self, line: str) -> None:
        """Queue the line; never wait."""
        with self._changed:
            if self._descriptor is None or len(self._lines) >= _QUEUED:
                self.dropped += 1
                return
            # A condition is held for a few instructions only; the write itself happens without it.
            self._lines.append(line)
            self._changed.notify_all()

    def show_status(self, text: str) -> None:
        """Show a status line below all others, replacing the previous one; empty removes it. On a terminal only."""
        with self._changed:
            self._status = text
            self._changed.notify_all()

    def flush(self, seconds: float = 0.5) -> bool:
        """Wait until every line is written, or for the seconds; return whether they are."""
        self.on_quiet()
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_waiting() and not self._writing, seconds)

    def _is_waiting(self) -> bool:
        return bool(self._lines) or self._status != self._drawn

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                # Under the same lock as the queue: `flush` never sees an empty queue while a line is on its way.
                self._writing = self._changed.wait_for(self._is_waiting, _QUIET_SECONDS)
                line = f"{self._lines.popleft()}\n" if self._lines else ""
                erased, self._drawn = _ERASED if self._drawn else "", self._status
                text = f"{erased}{line}{self._drawn}"
            if self._descriptor is None or not text:
                self.on_quiet()
            else:
                self._write(self._descriptor, text)

    def _write(self, descriptor: int, text: str) -> None:
        try:
            write_all(descriptor, text.encode(errors="backslashreplace"))
        except OSError:
            with self._changed:
                self.dropped += 1
            return
        with self._changed:
            if self.dropped == self._reported or len(self._lines) > _QUEUED // 2:  # or there would be no room for it
                return
            lost, self._reported = self.dropped - self._reported, self.dropped
        _log.warning("%d log lines were dropped, because stderr was not read or could not be written", lost)


def write_all(descriptor: int, content: bytes) -> None:
    """Write the whole content, however long that takes; raise OSError when it cannot be written."""
    rest = memoryview(content)
    while rest:
        try:
            # write(2) may take a part only, and a memoryview is cut without copying what is left.
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # another program that has the same terminal or pipe made it non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


class _Formatter(logging.Formatter):
    """Formats a record as its fields in a fixed order, each bounded so that the line is."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        when = datetime.fromtimestamp(record.created, UTC)
        extra = {name: self._fit(str(value), _LONGEST_EXTRA) for name, value in _extra(record)}
        taken = _FRAME + sum(len(json.dumps(value)) for value in extra.values())
        room = (_LONGEST_LINE - taken) // (2 if record.exc_info else 1)
        left_out = record.__dict__.get(_LEFT_OUT)
        message = _message(record) + (f" (and {left_out} more lines like this one before it)" if left_out else "")
        fields = {
            "ts": when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z",
            "level": record.levelname.lower().replace("warning", "warn").replace("critical", "error"),
            "logger": self._fit(record.name, _LONGEST_LOGGER),
            "msg": self._fit(message, room),
            **extra,
        }
        if record.exc_info:
            fields["exception"] = self._fit(self.formatException(record.exc_info), room)
        return fields

    def _fit(self, text: str, room: int) -> str:
        """Return the text without secrets; of what takes more than the room, quoted, the middle is left out."""
        # Longest first: hiding a secret that is part of another one would leave the rest of that one readable.
        secrets = sorted({secret for secret in self._secrets() if len(secret) >= _LEAST_SECRET}, key=len, reverse=True)
        longest = len(secrets[0]) if secrets else 0
        window = room + longest
        length = len(text)
        if length > 2 * window:
            # A huge text is cut before it is searched. A cut may go through a secret, so both ends lose its length.
            head, tail = _without(secrets, text[:window]), _without(secrets, text[-window:])
            text = head[: len(head) - longest] + tail[longest:]
            shortened = _shortened(text, length, len(text))
        else:
            shortened = text = _without(secrets, text)
        kept = len(text)
        while (quoted := len(json.dumps(shortened))) > room:
            kept = min(kept - 1, kept * room // quoted)
            shortened = _shortened(text, length, kept)
        return shortened


class LogfmtFormatter(_Formatter):
    """`ts=… level=… logger=… msg="…"`, values quoted where they must be."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={_quoted(text)}" for name, text in self.fields(record).items())


class JsonFormatter(_Formatter):
    """One JSON object a line, with the same fields."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record))


@dataclass(slots=True)
class _Kind:
    """Lines of one logger, level and format."""

    name: str
    level: int
    text: str
    since: float
    burst: int
    written: int = 1
    left_out: int = 0


class _Floods:
    """Counts lines by their kind, and leaves out those beyond a burst."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, int, str], _Kind] = {}

    def admit(self, record: logging.LogRecord) -> int | None:
        """Return how many lines were left out before this one, which is to be written; None to leave it out too."""
        own = record.name.partition(".")[0] == _OWN
        if own and record.levelno < logging.INFO:
            return 0
        text = str(record.msg)[:_LONGEST_KIND].partition("\n")[0]
        kind = self._kinds.get(self._key(record, text))
        if kind is None or not 0 <= record.created - kind.since < _QUIET_SECONDS:
            left_out = kind.left_out if kind else 0
            burst = 1 if left_out else _OWN_BURST if own else _FOREIGN_BURST
            fresh = _Kind(record.name, record.levelno, text, record.created, burst)
            self._kinds[self._key(record, text)] = fresh
            return left_out
        if kind.written < kind.burst:
            kind.written += 1
            return 0
        kind.left_out += 1
        return None

    def ended(self) -> list[_Kind]:
        """Return the kinds of which lines were left out, and forget all."""
        ended = [kind for kind in self._kinds.values() if kind.left_out]
        self._kinds.clear()
        return ended

    def _key(self, record: logging.LogRecord, text: str) -> tuple[str, int, str]:
        """Return the record's kind; where there are very many, the logger's and the level's."""
        key = (record.name[:_LONGEST_LOGGER], record.levelno, text)
        return key if key in self._kinds or len(self._kinds) < _MOST_KINDS else (*key[:2], "")


class _Handler(logging.Handler):
    """Hands lines to the writer; neither waits nor raises."""

    def __init__(self, lines: LineWriter) -> None:
        super().__init__()
        self.lines = lines
        self._floods = _Floods()
        lines.on_quiet = self._tell_ended

    def emit(self, record: logging.LogRecord) -> None:
        try:
            left_out = self._floods.admit(record)
            if left_out is not None:
                record.__dict__[_LEFT_OUT] = left_out
                self.lines.put(self.format(record))
        except Exception as exc:  # noqa: BLE001  # a library may log any object, and logging must not end who logs
            self.lines.put(f"a log line of {record.name} cannot be written ({type(exc).__name__})")

    def _tell_ended(self) -> None:
        """Write how many lines were left out since the last one of their kind."""
        # The handler's lock, which logging holds around `emit`: the kinds are counted by many threads.
        self.acquire()
        try:
            for kind in self._floods.ended():
                text, values = "%d more lines like this one were left out: %s", (kind.left_out, kind.text)
                self.lines.put(self.format(logging.LogRecord(kind.name, kind.level, "", 0, text, values, None)))
        finally:
            self.release()


def set_up_logs(level: str, log_format: str, secrets: Secrets, lines: LineWriter) -> None:
    """Let every logger write through `lines`; `secrets` are hidden in every line."""
    root = logging.getLogger()
    handler = next((one for one in root.handlers if isinstance(one, _Handler) and one.lines is lines), None)
    handler = handler or _Handler(lines)
    handler.setFormatter(JsonFormatter(secrets) if log_format == "json" else LogfmtFormatter(secrets))
    # In place and at once: a reload must not leave a moment without a handler, nor one with two.
    root.handlers[:] = [handler]
    root.setLevel({"warn": logging.WARNING}.get(level) or level.upper())
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)


def log_uncaught() -> None:
    """Log exceptions that end a thread or are unraisable: Python itself would wait for stderr's reader."""

    def of_thread(ended: threading.ExceptHookArgs) -> None:
        name = ended.thread.name if ended.thread else "unknown"
        raised = ended.exc_value
        _log.error("the thread %s has ended", name, exc_info=raised if raised is not None else True)

    def of_object(found: "sys.UnraisableHookArgs") -> None:
        _log.error("an unraisable exception", exc_info=found.exc_value)

    threading.excepthook = of_thread
    sys.unraisablehook = of_object


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as exc:  # noqa: BLE001  # a library's wrong format must not end who logs; its text says enough
        return f"{record.msg} (the line's values do not fit it: {type(exc).__name__})"


def _extra(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    for name in _EXTRA:
        if (value := record.__dict__.get(name)) is not None:
            yield name, value


def _without(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "<hidden>")
    return text


def _shortened(text: str, length: int, kept: int) -> str:
    """Return that many characters of the text, three quarters from its beginning; `length` is the original one."""
    tail = kept // 4
    return f"{text[: kept - tail]} … ({length - kept} characters left out) … {text[len(text) - tail :]}"


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=True)


class LogLimit:
    """Writes the first lines of each minute and then one with the number of those left out.

    Used from the event loop alone. A module of its own, since the listener and the middleware both need it.
    """

    def __init__(self, logger: logging.Logger, level: int, subject: str, *, lines: int) -> None:
        """`subject` begins the line that counts, such as "failed logins"; `lines` are written each minute before it."""
        self._logger = logger
        self._level = level
        self._subject = subject
        self._lines = lines
        self._written = 0
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None

    def log(self, message: str, *args: object) -> None:
        """Write the line, or count it."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PERIOD, self._end_period)
        if self._written < self._lines:
            self._written += 1
            self._logger.log(self._level, message, *args)
        else:
            self._left_out += 1

    def _end_period(self) -> None:
        self._timer = None
        if self._left_out:
            self._logger.log(
                self._level, "%s: %d more within %d seconds", self._subject, self._left_out, round(_PERIOD)
            )
        self._written = self._left_out = 0

"""Log lines as logfmt or JSON, on stderr, without the key."""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TextIO

_PLAIN: Final = re.compile(r"[^\s\"=\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LIBRARIES: Final = ("urllib3", "asyncio")
"""Their debug lines show headers or bodies, so they speak from warnings on, whatever the level."""


class _Formatter(logging.Formatter):
    """Formats a record as its fields in a fixed order."""

    def __init__(self, secrets: Callable[[], tuple[str, ...]]) -> None:
        super().__init__()
        self._secrets = secrets

    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        when = datetime.fromtimestamp(record.created, UTC)
        fields = {
            "ts": when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z",
            "level": record.levelname.lower().replace("warning", "warn").replace("critical", "error"),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return {name: self._without_secrets(text) for name, text in fields.items()}

    def _without_secrets(self, text: str) -> str:
        for secret in filter(None, self._secrets()):
            text = text.replace(secret, "<hidden>")
        return text


class LogfmtFormatter(_Formatter):
    """`ts=… level=… logger=… msg="…"`, values quoted where they must be."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={_quoted(text)}" for name, text in self.fields(record).items())


class JsonFormatter(_Formatter):
    """One JSON object a line, with the same fields."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record))


def set_up_logs(
    level: str, log_format: str, secrets: Callable[[], tuple[str, ...]], stream: TextIO | None = None
) -> None:
    """Let the root logger write to the stream (default stderr); `secrets` are hidden in every line."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(secrets) if log_format == "json" else LogfmtFormatter(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel({"warn": logging.WARNING}.get(level) or level.upper())
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=True)

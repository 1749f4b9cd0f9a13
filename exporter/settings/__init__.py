"""Settings: flags, environment and files brought to one frozen value, or to one error naming every problem."""

from exporter.settings.api_key import oddity as key_oddity
from exporter.settings.api_key import read_key_file
from exporter.settings.catalogue import Key, reference
from exporter.settings.groups import (
    LabelSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    PollSettings,
    SendGridSettings,
    ShardSettings,
    StateSettings,
    UrlLabel,
    WebSettings,
)
from exporter.settings.help import help_text
from exporter.settings.loading import DEMO_INTERVAL, load
from exporter.settings.model import Invocation, Mode, Settings
from exporter.settings.redaction import redacted, redacted_line
from exporter.settings.values import duration_text

__all__ = [
    "DEMO_INTERVAL",
    "Invocation",
    "Key",
    "LabelSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "Mode",
    "PollSettings",
    "SendGridSettings",
    "Settings",
    "ShardSettings",
    "StateSettings",
    "UrlLabel",
    "WebSettings",
    "duration_text",
    "help_text",
    "key_oddity",
    "load",
    "read_key_file",
    "redacted",
    "redacted_line",
    "reference",
]

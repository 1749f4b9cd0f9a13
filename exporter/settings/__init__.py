"""Settings: flags, environment and files brought to one frozen value, or to one error naming every problem."""

from exporter.settings.load import DEMO_INTERVAL, Invocation, load, read_key_file
from exporter.settings.reference import Setting, help_text, redacted, redacted_line, reference
from exporter.settings.schema import (
    LabelSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    PollSettings,
    SdSettings,
    SendGridSettings,
    Settings,
    ShardSettings,
    StateSettings,
    WebSettings,
)
from exporter.settings.sources import Mode
from exporter.settings.values import duration_text, key_oddity

__all__ = [
    "DEMO_INTERVAL",
    "Invocation",
    "LabelSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "Mode",
    "PollSettings",
    "SdSettings",
    "SendGridSettings",
    "Setting",
    "Settings",
    "ShardSettings",
    "StateSettings",
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

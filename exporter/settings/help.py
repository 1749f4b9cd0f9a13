"""The text of `--help`."""

import textwrap
from collections.abc import Iterator
from typing import Final

from exporter.settings.catalogue import AUTOMATIONS, COMMAND, GROUPS, KEYS, NO_DEFAULT, Key

_WIDTH: Final = 80
_INDENT: Final = " " * 6

_INTRODUCTION: Final = f"""\
usage: {COMMAND} [MODE] [FLAG ...]

Polls the link clicks of SendGrid's automations and serves them to Prometheus.

Modes (without one: poll and serve until stopped)
  --config.file FILE
      The YAML file to read.
      (environment EXPORTER_CONFIG__FILE)
  --check
      Validate the configuration, print it without its secrets, and stop.
  --once
      Poll every automation once, print the metrics on stdout, and stop.
  --demo
      Start a simulated SendGrid in the process and poll it; needs neither a key
      nor a configuration. Goes with --check and --once too.
  --version
      Print the version and stop.
  -h, --help
      Print this text and stop.

Settings
  A flag wins over the environment, the environment over the file, and the file
  over the default, each key on its own. Flags are written --flag VALUE or
  --flag=VALUE. In the file, --poll.interval is the key interval of the group
  poll. Durations are numbers of seconds, or 30s, 5m, 1h30m.
"""

_CONCLUSION: Final = f"""\
Examples
  {COMMAND} --demo
  SENDGRID_API_KEY_FILE=/run/secrets/sendgrid \\
    {COMMAND} \\
    --automations 2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c
  {COMMAND} --config.file exporter.yaml --check

Exit codes
  0  done, or stopped by a signal
  1  failed while running
  2  wrong configuration or usage
"""


def help_text() -> str:
    """Return the help, ready to be printed on a terminal of 80 columns."""
    return "\n".join([_INTRODUCTION, *_blocks(), _CONCLUSION])


def _blocks() -> Iterator[str]:
    for group in (AUTOMATIONS[0], *(name for name, _ in GROUPS)):
        keys = [key for key in KEYS if key.path[0] == group]
        yield "\n".join([group, *(_entry(key) for key in keys)]) + "\n"


def _entry(key: Key) -> str:
    head = f"  {key.flag} {key.metavar}".rstrip() if key.flag else "  (no flag)"
    meaning = key.meaning.replace("`", "")
    default = "" if key.default == NO_DEFAULT else f"default {key.default}; "
    return "\n".join([head, _wrapped(meaning), _wrapped(f"({default}environment {key.variable})")])


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )

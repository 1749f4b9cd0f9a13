"""The SendGrid key: what can be one, what looks like one, and how it is read from a file."""

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from exporter.errors import ConfigurationError
from exporter.inputs import Inputs, read_input
from exporter.web.toolkit.files import Input

LAST_OF_LATIN_1: Final = 0xFF
"""The last character that an HTTP header can carry."""

_LONGEST: Final = 4096
_USUAL: Final = re.compile(r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}")
_USUAL_LENGTH: Final = 69
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*[=:]")


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key, and the file that it was read from."""

    key: SecretStr
    source: Input


def checked_key(value: object) -> SecretStr:
    """Return the key without surrounding blanks; raise ValueError, without the key, for what no header can carry."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004
    key = value.strip()
    if not key:
        raise ValueError("the key is empty")
    if len(key) > _LONGEST:
        raise ValueError(f"the key is longer than {_LONGEST} characters")
    if key[0] in "\"'" and key[0] == key[-1]:
        raise ValueError("the key stands in quotes; give it without them")
    if any(character.isspace() for character in key):
        raise ValueError('the key holds blanks or line ends; give the key alone, without "Bearer"')
    if any(ord(character) > LAST_OF_LATIN_1 or unicodedata.category(character) == "Cc" for character in key):
        raise ValueError("the key holds characters that no HTTP header can carry")
    return SecretStr(key)


def oddity(secret: SecretStr) -> str | None:
    """Return in what the key differs from those that SendGrid makes, `SG.`, 22, `.` and 43 characters; never the key.

    Nothing promises that form, and a gateway may have keys of its own: this is worth a warning, no more.
    """
    key = secret.get_secret_value()
    return None if _USUAL.fullmatch(key) else _difference(key)


def _difference(key: str) -> str:
    if _decoded(key).startswith(b"SG."):
        return "looks like the base64 of a key; give it decoded"
    if _ASSIGNMENT.match(key):
        return "looks like a whole line NAME=key; give only what follows the sign"
    if key[0] in "\"'`" or key[-1] in "\"'`":
        return "begins or ends with a quote"
    if not key.startswith("SG."):
        return "does not begin with SG. as SendGrid's keys do"
    if len(key) != _USUAL_LENGTH:
        return f"has {len(key)} characters, where SendGrid's keys have {_USUAL_LENGTH}"
    return "is not made of SG. and two groups of 22 and 43 letters, digits, - and _, as SendGrid's keys are"


def read_key_file(path: Path) -> SecretStr:
    """Return the key that the file holds now; raise ConfigurationError, without the content, when it holds none."""
    try:
        return _key_in(path, read_input(path, _LONGEST + 1)).key
    except (OSError, ValueError) as exc:
        problem = f"sendgrid.api_key_file: {unreadable(path, exc)}"
    raise ConfigurationError([problem])


def find_key(path: Path, inputs: Inputs) -> FoundKey:
    """Return the key that the file or pipe holds; raise OSError or ValueError, without the content."""
    return _key_in(path, inputs.read(path, _LONGEST + 1))


def unreadable(path: Path, exc: OSError | ValueError) -> str:
    """Return why the key file cannot be used."""
    if isinstance(exc, OSError):
        return f"cannot read {shown_path(path)} ({exc.strerror or type(exc).__name__})"
    return str(exc)


def _key_in(path: Path, source: Input) -> FoundKey:
    try:
        return FoundKey(checked_key(source.content.decode("utf-8-sig")), source)
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except ValueError as exc:
        problem = str(exc)
    raise ValueError(f"{shown_path(path)} is no key file: {problem}")


def _decoded(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return b""


def shown_path(path: Path) -> str:
    """Return the path as messages may show it: a bare word could be a secret that was put in the wrong place."""
    written = str(path)
    return written if "/" in written or path.suffix in (".yaml", ".yml") else "the file that it names"

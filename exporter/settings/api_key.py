"""The SendGrid key: what can be one, and how it is read from a file."""

import unicodedata
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from exporter.errors import ConfigurationError

LAST_OF_LATIN_1: Final = 0xFF
"""The last character that an HTTP header can carry."""

_LONGEST: Final = 4096


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


def read_key_file(path: Path) -> SecretStr:
    """Return the key that the file holds; raise ConfigurationError, without the content, when it holds none."""
    try:
        return _key_in(path)
    except ValueError as exc:
        problem = f"sendgrid.api_key_file: {exc}"
    raise ConfigurationError([problem])


def _key_in(path: Path) -> SecretStr:
    name = shown_path(path)
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 2)
    except OSError as exc:
        raise ValueError(f"cannot read {name} ({exc.strerror or type(exc).__name__})") from None
    try:
        return checked_key(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except ValueError as exc:
        problem = str(exc)
    raise ValueError(f"{name} is no key file: {problem}")


def shown_path(path: Path) -> str:
    """Return the path as messages may show it: a bare word could be a secret that was put in the wrong place."""
    written = str(path)
    return written if "/" in written or path.suffix in (".yaml", ".yml") else "the file that it names"

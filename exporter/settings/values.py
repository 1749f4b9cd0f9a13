"""Values from what a person wrote: text, numbers, durations, lists, the API key, addresses; what is wrong with one.

Each function of a value raises ValueError with a phrase that follows "key: ", and never repeats what was written: a key
pasted into the wrong place must not come out in a message. A problem is such a phrase at its place.
"""

import base64
import binascii
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from exporter.domain import ID_PLACEHOLDER
from exporter.probes import ALWAYS_EXCLUDED, means_nothing
from exporter.web.toolkit import closest, seconds

LAST_OF_LATIN_1: Final = 0xFF
"""The last character that an HTTP header can carry."""
LONGEST_KEY: Final = 4096
"""Characters of an API key."""
LONGEST_INTERVAL: Final = 30 * 86400.0
_Choice = TypeVar("_Choice", bound=StrEnum)
_Number = TypeVar("_Number", int, float)
_UNITS: Final[Mapping[str, float]] = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
SWITCH_WORDS: Final = _TRUE | _FALSE
_MOST_STARS: Final = 10
_CONTROL: Final = frozenset({"Cc", "Cs"})
_USUAL_KEY: Final = re.compile(r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}")
_FILLED: Final = re.compile(r"[xX]{10}|[*.]{4}")
_PLACEHOLDER: Final = re.compile(
    rf"(?i)your|change.?me|replace|placeholder|example|dummy|insert|todo|[<>{{}}$]|{_FILLED.pattern}"
)
"""What stands in a template where the key belongs."""
_USUAL_KEY_LENGTH: Final = 69
_PATHS: Final = ("/", "./", "../", "~/")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*[=:]")
_EMPTY: Final = "is empty; leave it out to get the default"
_NOT_A_DURATION: Final = "must be a duration such as 30s, 5m or 1h30m, or a number of seconds"
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_PAGES: Final = ("/", "/-", "/status.json", "/status.css", "/status.js", "/status.svg", "/sd/links")
_PATH: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_HIGHEST_PORT: Final = 65535
_URL_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")
"""RFC 3986, section 2: what stands in an address as it is."""
_APP_URL_FORM: Final = (
    f"must be an http:// or https:// address that holds {ID_PLACEHOLDER} exactly once behind its host, such as "
    f"https://mc.sendgrid.com/automations/{ID_PLACEHOLDER}/detail, or empty for no links"
)
_LISTEN_FORMS: Final = "must be an address such as :10154, 127.0.0.1:10154 or [::1]:10154"
KeyPath = tuple[str, ...]
"""A setting's place: `("poll", "interval")`, or `("automations",)`."""
_NAME: Final = re.compile(r"[A-Za-z_-]{1,40}(\.[A-Za-z_-]{1,40})?")
_KEYS: Final[frozenset[KeyPath]] = frozenset({("sendgrid", "api_key"), ("sendgrid", "api_key_file")})
REQUIRED: Final[frozenset[KeyPath]] = _KEYS | {("automations",)}
"""What a run cannot do without: a name that resembles none may have been meant to give it."""
_SEPARATORS: Final = re.compile(r"__|[.-]")


def text(value: object, *, at_most: int = 4096) -> str:
    """Return text without surrounding blanks, control characters or halves of surrogate pairs."""
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004
    stripped = value.strip()
    if not stripped:
        raise ValueError(_EMPTY)
    if len(stripped) > at_most:
        raise ValueError(f"is longer than {at_most} characters")
    if any(unicodedata.category(character) in _CONTROL for character in stripped):
        raise ValueError("holds a control character, or bytes that are not UTF-8")
    return stripped


def path(value: object) -> Path:
    """Return the path of a file, as written: relative ones start at the working directory."""
    return value if isinstance(value, Path) else Path(text(value))


def boolean(value: object) -> bool:
    """Return a switch's state."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("must be true or false")


def choice(kind: type[_Choice]) -> Callable[[object], _Choice]:
    """Return a reader of one of the enumeration's words, in any case of letters."""
    words = [member.value for member in kind]

    def read(value: object) -> _Choice:
        # YAML 1.1 reads an unquoted `off` as false.
        word = value.strip().lower() if isinstance(value, str) else "off" if value is False else ""
        if word in words:
            return kind(word)
        close = closest(word, words)
        raise ValueError(f"must be one of {', '.join(words)}" + (f"; did you mean {close}?" if close else ""))

    return read


def whole_number(least: int, most: int) -> Callable[[object], int]:
    """Return a reader of a whole number within the bounds, both included."""

    def read(value: object) -> int:
        return _bounded(_whole(value), least, most, str)

    return read


def number(least: float, most: float) -> Callable[[object], float]:
    """Return a reader of a number within the bounds, both included."""

    def read(value: object) -> float:
        if isinstance(value, str) and not value.strip():
            raise ValueError(_EMPTY)
        if isinstance(value, str) and _DECIMAL.fullmatch(value.strip().removeprefix("-")):
            return _bounded(float(value), least, most, _plain)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(_bounded(value, least, most, _plain))
        raise ValueError("must be a number")

    return read


def duration(least: float, most: float) -> Callable[[object], float]:
    """Return a reader of a duration in seconds within the bounds, both included."""

    def read(value: object) -> float:
        return float(_bounded(_seconds(value), least, most, duration_text))

    return read


def duration_text(seconds: float) -> str:
    """Return the duration as a person writes it: 330 seconds are `5m30s`."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def texts(value: object, *, each_at_most: int = 256, at_most: int = 1000) -> tuple[str, ...]:
    """Return the texts of a list, or of one text with commas; an empty one is an empty list."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, Sequence):
        raise ValueError("must be a list, or text with commas")  # noqa: TRY004
    if len(value) > at_most:
        raise ValueError(f"has more than {at_most} entries")
    return tuple(_numbered(value, each_at_most))


def probe_patterns(value: object) -> tuple[str, ...]:
    """Return the patterns of links that no prober may visit, the built-in ones first."""
    if isinstance(value, str) and not value.strip():
        return ALWAYS_EXCLUDED
    patterns = texts(value, at_most=200)
    for index, pattern in enumerate(patterns):
        if means_nothing(pattern):
            raise ValueError(f"entry {index} would exclude every link; name a part of the address, such as /checkout")
    return tuple(dict.fromkeys((*ALWAYS_EXCLUDED, *patterns)))


def path_patterns(value: object) -> tuple[str, ...]:
    """Return patterns of paths such as `/unsubscribe/*`."""
    patterns = texts(value, at_most=100)
    for index, pattern in enumerate(patterns):
        if any(mark in pattern for mark in ("://", "?", "#")):
            raise ValueError(f"entry {index} must be a path such as /unsubscribe/*, without a scheme, a host, ? or #")
        if "*" not in pattern:
            raise ValueError(f"entry {index} must hold a * for what to leave out, such as /unsubscribe/*")
        if pattern.count("*") > _MOST_STARS:
            raise ValueError(f"entry {index} has more than {_MOST_STARS} *")
    return patterns


def api_key(value: object) -> SecretStr:
    """Return the key without surrounding blanks; raise ValueError, without the key, for what no header can carry."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004
    key = value.strip()
    if not key:
        raise ValueError("the key is empty; put one there")
    if len(key) > LONGEST_KEY:
        raise ValueError(f"the key is longer than {LONGEST_KEY} characters; give the key alone")
    if key[0] in "\"'" and key[0] == key[-1]:
        raise ValueError("the key is in quotes; give it without them")
    if any(character.isspace() for character in key):
        raise ValueError('the key contains spaces or line breaks; give the key alone, without "Bearer"')
    if any(ord(character) > LAST_OF_LATIN_1 or unicodedata.category(character) == "Cc" for character in key):
        raise ValueError("the key contains characters that no HTTP header can carry; copy it again")
    return SecretStr(key)


def key_oddity(secret: SecretStr) -> str | None:
    """Return in what the key differs from those that SendGrid makes, `SG.`, 22, `.` and 43 characters; never the key.

    Nothing promises that form, and a gateway may have keys of its own: this is worth a warning, no more.
    """
    key = secret.get_secret_value()
    return _difference(key) if not _USUAL_KEY.fullmatch(key) or _FILLED.search(key) else None


def _difference(key: str) -> str:
    for is_so, words in (
        (_decoded(key).startswith(b"SG."), "looks like the base64 of a key; give it decoded"),
        (_ASSIGNMENT.match(key), "looks like a whole line NAME=key; give only what follows the sign"),
        (key.startswith(("{", "[")) and '"' in key, "looks like JSON; give only the key in it"),
        (key.startswith(_PATHS), "looks like the path of a file; name that in sendgrid.api_key_file"),
        (_PLACEHOLDER.search(key), "looks like a placeholder; give the key that SendGrid showed when it was made"),
        (key[0] in "\"'`" or key[-1] in "\"'`", "begins or ends with a quote"),
    ):
        if is_so:
            return words
    if not key.startswith("SG."):
        return "does not begin with SG. as SendGrid's keys do"
    if len(key) != _USUAL_KEY_LENGTH:
        return f"has {len(key)} characters, where SendGrid's keys have {_USUAL_KEY_LENGTH}"
    return "is not made of SG. and two groups of 22 and 43 letters, digits, - and _, as SendGrid's keys are"


def _numbered(values: Iterable[object], each_at_most: int) -> Iterable[str]:
    for index, value in enumerate(values):
        try:
            yield text(value, at_most=each_at_most)
        except ValueError as exc:
            raise ValueError(f"entry {index} {exc}") from None


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(_EMPTY)
        if _WHOLE.fullmatch(value.strip()):
            return int(value)
    raise ValueError("must be a whole number")


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(_NOT_A_DURATION)  # noqa: TRY004
    written = value.strip()
    if not written:
        raise ValueError(_EMPTY)
    if _DECIMAL.fullmatch(written):
        return float(written)
    found = seconds(written, _UNITS, ordered=True)
    if found is None:
        raise ValueError(_NOT_A_DURATION)
    return found


def _bounded(value: _Number, least: _Number, most: _Number, shown: Callable[[_Number], str]) -> _Number:
    if value < least:
        raise ValueError(f"must be at least {shown(least)}")
    if value > most:
        raise ValueError(f"must be at most {shown(most)}")
    if value != value:  # noqa: PLR0124 - NaN, and unlike math.isnan no failure on an integer beyond every float
        raise ValueError("must be a number")
    return value


def _plain(value: float) -> str:
    return f"{value:g}"


def _decoded(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return b""


class ListenAddress(NamedTuple):
    """Where to listen."""

    host: str
    """A name or an address without brackets; empty for every interface."""
    port: int
    """0 lets the system choose."""


def listen_addresses(value: object) -> tuple[str, ...]:
    """Return the addresses, given as a list or as a text with commas, after checking each."""
    addresses = texts(value, each_at_most=300) if isinstance(value, str | Sequence) else ()
    if not addresses:
        raise ValueError(_LISTEN_FORMS)
    for address in addresses:
        split_listen_address(address)
    if len(set(addresses)) < len(addresses):
        raise ValueError("names an address twice")
    return addresses


def split_listen_address(address: str) -> ListenAddress:
    """Return the host and the port of `host:port`, `:port` or `[IPv6]:port`."""
    if "://" in address:
        raise ValueError(f"{_LISTEN_FORMS}, without a scheme such as http://")
    host, colon, port = address.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > _HIGHEST_PORT:
        raise ValueError(f"{_LISTEN_FORMS}, with a port from 0 to {_HIGHEST_PORT}")
    if host.startswith("[") and host.endswith("]"):
        bare = host[1:-1]
        if not _is_ip(bare, 6):
            raise ValueError("holds no IPv6 address between the brackets")
        return ListenAddress(bare, int(port))
    if ":" in host:
        raise ValueError("must hold an IPv6 address in brackets, such as [::1]:10154")
    if host and not _is_host(host):
        raise ValueError(_LISTEN_FORMS)
    return ListenAddress(host, int(port))


def telemetry_path(value: object) -> str:
    """Return the path of the metrics page, which must leave the exporter's other pages free."""
    written = text(value, at_most=200)
    if written in _PAGES or written.startswith("/-/"):
        raise ValueError("is taken by another page of the exporter; choose another, such as /metrics")
    if not _PATH.fullmatch(written):
        raise ValueError("must be a path such as /metrics: letters, digits, '.', '_', '~', '-' between single slashes")
    return written


def base_url(value: object) -> str:
    """Return the API's URL as scheme://host[:port], in lower case and without a slash at the end."""
    url, host = _url(value, example="https://api.sendgrid.com")
    if url.scheme not in ("http", "https"):
        raise ValueError("must begin with https:// or http://")
    if "@" in url.netloc:
        raise ValueError("must not hold a user or a password; the key has its own setting, sendgrid.api_key_file")
    port = f":{url.port}" if url.port is not None else ""
    return f"{url.scheme}://{host}{port}"


def app_url(value: object) -> str:
    """Return the address of an automation's page with a placeholder for its id; empty where no page is to be linked."""
    if isinstance(value, str) and not value.strip():
        return ""
    written = text(value, at_most=1000)
    before, _, after = written.partition(ID_PLACEHOLDER)
    try:
        url = urlsplit(before)
        is_web = url.scheme in ("http", "https") and "@" not in url.netloc and _has_host(url)
        is_valid = is_web and url.path != "" and written.count(ID_PLACEHOLDER) == 1
    except ValueError:
        is_valid = False
    if not is_valid or not _URL_CHARACTERS.fullmatch(before + after):
        raise ValueError(_APP_URL_FORM)
    return written


def proxy(value: object) -> str:
    """Return the proxy's URL; it may hold a user and a password."""
    url, host = _url(value, example="http://proxy:3128")
    if url.scheme.startswith("socks"):
        raise ValueError("must be an http:// or https:// proxy; SOCKS is not supported")
    if url.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    user, at, _ = url.netloc.rpartition("@")
    if "@" in user:
        raise ValueError("must write an @ in the user or the password as %40")
    port = f":{url.port}" if url.port is not None else ""
    return f"{url.scheme}://{user}{at}{host}{port}"


def without_password(url: str) -> str:
    """Return the URL with its user and password hidden."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://<hidden>@{host}" if at else url


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is this machine: 127.0.0.0/8, ::1 or localhost."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url(value: object, *, example: str) -> tuple[SplitResult, str]:
    """Return the parts of a URL that is nothing but scheme, host and port, with the host ready to be written."""
    written = text(value, at_most=2000)
    if re.search(r"[\s\\]", written) or not written.isascii():
        raise ValueError("must be a URL of ASCII characters without blanks or backslashes")
    try:
        url = urlsplit(written)
        has_host = _has_host(url)
    except ValueError:
        raise ValueError(f"must be a URL such as {example}, with a port from 1 to 65535") from None
    if not url.scheme or not written.lower().startswith(f"{url.scheme}://"):
        raise ValueError(f"must be a URL such as {example}")
    if "?" in written or "#" in written:
        raise ValueError("must not hold a query or a fragment")
    if url.path not in ("", "/"):
        raise ValueError("must not hold a path; give scheme, host and port alone")
    if not has_host:
        raise ValueError("must hold a valid host, and after a colon a port from 1 to 65535")
    host = url.hostname or ""
    return url, f"[{host}]" if ":" in host else host


def _has_host(url: SplitResult) -> bool:
    """Return whether the URL has a valid host and no port 0; raise ValueError where the port is no port."""
    host = url.hostname or ""
    bracketed = "[" in url.netloc.rpartition("@")[2]
    if url.port == 0 or url.netloc.endswith(":"):
        return False
    return _is_ip(host, 6) if bracketed else _is_host(host)


def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None


def _is_ip(host: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == version
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right."""

    path: Sequence[str | int]
    text: str
    origin: str = ""
    """The flag, the variable, or the file with its line; empty when nothing was given."""
    meant: frozenset[KeyPath] = frozenset()
    """Required settings that it may have been meant to give: to report them as missing too would mislead."""

    def __str__(self) -> str:
        return f"{dotted(self.path)}{f' ({self.origin})' if self.origin else ''}: {self.text}"


def dotted(path: Sequence[str | int]) -> str:
    """Return the path as the documentation writes it: `automations[1].id`."""
    written = ""
    for part in path:
        written += f"[{part}]" if isinstance(part, int) else f".{part}" if written else part
    return written


def printable(name: object) -> str | None:
    """Return the name of a setting where a message may repeat it; anything else may be a secret in the wrong place."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None


def shown_path(path: Path) -> str:
    """Return the path as messages may show it: a bare word could be a secret that was put in the wrong place."""
    written = str(path)
    return written if "/" in written or path.suffix in (".yaml", ".yml") else "the file that it names"


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a mistyped name most likely means."""
    shapes = {_shape(candidate): candidate for candidate in candidates}
    close = closest(_shape(name), shapes)
    return shapes[close] if close else None


def unknown(path: Sequence[str | int], name: str, candidates: Mapping[str, KeyPath | None], origin: str) -> Problem:
    """Return the problem of a mistyped name: with the nearest right one, or all where they are few.

    `candidates` are the right names, each with its setting; None where it is none.
    """
    close = nearest(name, candidates)
    if close is not None:
        meant = candidates[close]
        return Problem(path, f"no such setting; did you mean {close}?", origin, _meant(meant) if meant else frozenset())
    return Problem(path, no_such_setting(name, tuple(candidates)), origin, REQUIRED)


def no_such_setting(name: str, candidates: Sequence[str]) -> str:
    """Return the sentence for a mistyped name: the nearest right one, or all where they are few."""
    close = nearest(name, candidates)
    if close is not None:
        return f"no such setting; did you mean {close}?"
    if len(candidates) <= 8:  # noqa: PLR2004 - as many as a sentence holds
        return f"no such setting; here are {', '.join(candidates)}"
    return "no such setting; --help lists all of them"


def _meant(path: KeyPath) -> frozenset[KeyPath]:
    """Return what cannot be said to be missing where the setting was meant to be given."""
    return REQUIRED if path == ("config", "file") else _KEYS if path in _KEYS else frozenset({path})


def _shape(name: str) -> str:
    """Return the name without the prefix that all share and without what people get wrong most: case and separators."""
    return _SEPARATORS.sub("_", name.lower().lstrip("-")).removeprefix("exporter_")

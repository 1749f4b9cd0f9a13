"""Addresses as a person writes them: the API's, a proxy's, and the one to listen on.

As in `values`, each function raises ValueError with a phrase that follows "key: " and does not repeat what was written.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from exporter.domain import ID_PLACEHOLDER
from exporter.settings.values import text, texts

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

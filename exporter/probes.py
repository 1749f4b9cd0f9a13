"""Which links a prober may visit: a visit must change nothing, reach no private network and carry no secret.

The text of a link comes from outside, and one character can be written in many ways: it is judged after every
decoding, and a link that does not come to an end of it is refused. All of it is linear in the length of a URL.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

ALWAYS_EXCLUDED: Final = (
    *("unsub", "optout", "preference", "emailsettings", "confirm", "optin", "verify", "activate", "cancel"),
    *("abmeld", "abbestell", "austrag", "desabonn", "desinscri", "disiscri", "darsedebaja", "descadastr"),
    *("afmeld", "uitschrijv", "/asm/", "/wf/", "sendgrid.net"),
)
"""Words in URLs whose visit has an effect: unsubscribing, confirming, or counting as a click."""

_LONGEST: Final = 2048
_DECODINGS: Final = 8
"""No mail program encodes this often; anything still encoded is meant to deceive."""
_MANGLED: Final = re.compile(r"(?<!&)#(?=(?:[0-9]{1,7}|[xX][0-9a-fA-F]{1,6});)")
"""SendGrid loses the ampersand of a numeric reference."""
_SEPARATORS: Final = re.compile(r"[-_.+~\s]")
_PARAMETER: Final = re.compile(r"[?&#;]([^?&#;=]*)=")
_SECRET_WORDS: Final = ("token", "secret", "passw", "credential", "signature", "apikey", "jwt", "session", "authori")
_SECRET_NAMES: Final = frozenset({"auth", "key", "pwd", "sig", "sid", "otp", "hash"})
_HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DOTS: Final = re.compile("[\u3002\uff0e\uff61]")
"""What browsers and probers read as the dot of a host's name (UTS 46)."""
_PRIVATE_ENDS: Final = frozenset(
    {"localhost", "local", "internal", "intranet", "private", "lan", "home", "corp", "localdomain", "arpa", "svc"}
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_TUNNELS: Final = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
"""Teredo and 6to4, whose addresses hold another one."""
_UNFIT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
"""Categories of characters that no address holds: controls, formats, blanks."""


class ProbeRules:
    """Judges one link at a time; holds no state between them."""

    def __init__(self, exclude: Iterable[str], *, private_addresses: bool = False) -> None:
        self._excluded: Sequence[Sequence[str]] = [_squeezed(pattern).split("*") for pattern in exclude]
        self._private_addresses = private_addresses

    def admits(self, url: str) -> bool:
        """Return whether the link may be visited."""
        # RFC 3986 has none of these characters in a URI; clients repair them in different ways, so none is trusted.
        if len(url) > _LONGEST or any(character in '\\"<>^`|{}' for character in url):
            return False
        if any(unicodedata.category(character) in _UNFIT for character in url):
            return False
        parts = _split(url)
        if parts is None or not (self._private_addresses or _is_public(parts.hostname or "")):
            return False
        decoded = _decoded(url)
        if decoded is None or "{{" in decoded or "}}" in decoded or "<%" in decoded:
            return False
        return not _holds_secret(decoded) and not self._is_excluded(_squeezed(decoded))

    def _is_excluded(self, squeezed: str) -> bool:
        return any(_holds(squeezed, pieces) for pieces in self._excluded)


def means_nothing(pattern: str) -> bool:
    """Return whether the pattern would exclude every link: it is nothing but separators, or matches the scheme."""
    squeezed = _squeezed(pattern)
    return not squeezed or _holds("https://", squeezed.split("*"))


def _split(url: str) -> SplitResult | None:
    """Return the parts of an http or https URL with a host, and without a user or password; None for any other."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    # A user name can look like the host: https://good.example@evil.example/ leads to the second.
    return parts if usable and "@" not in parts.netloc else None


def _is_public(host: str) -> bool:
    """Return whether the host is a name of the public DNS or a public address, as far as its text says."""
    # NFKC maps full-width digits and letters to those that a resolver sees (UTS 46 does the same).
    name = _DOTS.sub(".", unicodedata.normalize("NFKC", host)).casefold().removesuffix(".")
    if ":" in name:
        return _is_public_address(name)
    if _HOST.fullmatch(name) is None:
        return False
    end = name.rpartition(".")[2]
    # A host that ends in a number is an IPv4 address, also as 0x7f.1 or 2130706433 (WHATWG URL, "ends in a number").
    return _is_public_address(name) if _NUMBER.fullmatch(end) else end not in _PRIVATE_ENDS


def _is_public_address(text: str) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return False
    # `is_global` follows IANA's registries of special addresses, but is true for some multicast ones.
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in _GLOBAL_V6 and not any(address in tunnel for tunnel in _TUNNELS)


def _decoded(url: str) -> str | None:
    """Return the URL after every percent-decoding and character reference; None where that has no end."""
    text = url
    for _ in range(_DECODINGS):
        before, text = text, html.unescape(_MANGLED.sub("&#", unquote(text, errors="replace")))
        if text == before:
            return unicodedata.normalize("NFKC", text)
    return None


def _holds_secret(decoded: str) -> bool:
    names = (_SEPARATORS.sub("", found).casefold() for found in _PARAMETER.findall(decoded))
    return any(name in _SECRET_NAMES or any(word in name for word in _SECRET_WORDS) for name in names)


def _squeezed(text: str) -> str:
    """Return the text without accents, case and separators: `Opt-Out`, `opt_out` and `optout` are the same."""
    plain = unicodedata.normalize("NFKD", text)
    return _SEPARATORS.sub("", "".join(c for c in plain if not unicodedata.combining(c))).casefold()


def _holds(text: str, pieces: Sequence[str]) -> bool:
    """Return whether the pieces of a pattern stand in the text one behind the other."""
    at = 0
    for piece in pieces:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return True

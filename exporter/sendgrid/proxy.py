"""The proxy's credentials: how they are sent, and every form in which an answer may give them back."""

import base64
import json
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_to_bytes, urlsplit

_LEAST_SECRET: Final = 4
"""A shorter password stands in any text by chance, and could not be hidden without making it unreadable."""


def proxy_authorization(proxy: str) -> str | None:
    """Return the value of Proxy-Authorization; None where the proxy's URL has no user.

    The octets that the URL's percent-encoding names are sent as they are, as curl does: UTF-8 where the URL is written
    as RFC 3986 (2.5) says, which is also what RFC 7617 (2.1) has for text beyond ASCII.
    """
    token = _token(proxy)
    return f"Basic {token}" if token else None


def proxy_secrets(proxy: str | None) -> tuple[str, ...]:
    """Return the password as written, decoded and in the encodings of URLs, JSON and HTTP; the longest first."""
    if not proxy or (password := urlsplit(proxy).password) is None:
        return ()
    plain = unquote(password)
    forms = {password, plain, unquote(password, "latin-1"), quote(plain), quote(plain, safe=""), quote_plus(plain)}
    forms |= {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
    octets = unquote_to_bytes(password)
    tokens = {_token(proxy), base64.b64encode(octets).decode(), base64.urlsafe_b64encode(octets).decode()}
    forms |= {token.rstrip("=") for token in tokens}
    return tuple(sorted((form for form in forms if len(form) >= _LEAST_SECRET), key=len, reverse=True))


def _token(proxy: str) -> str:
    """Return the user and the password as HTTP's Basic scheme sends them; empty where there is no user."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ""
    return base64.b64encode(b":".join(map(unquote_to_bytes, (parts.username, parts.password or "")))).decode()

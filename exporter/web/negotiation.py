"""Content negotiation: which exposition format a client wants, whether compressed, and of which metrics.

What the client sends is only compared, never echoed: the versions served are our own.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qs

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_TEXT_TYPE: Final = "text/plain"
_OPENMETRICS_TYPE: Final = "application/openmetrics-text"
_KNOWN_VERSIONS: Final[Mapping[str, frozenset[str]]] = {
    _TEXT_TYPE: frozenset({"0.0.4"}),
    _OPENMETRICS_TYPE: frozenset({"1.0.0", "0.0.1"}),
}
# A quoted string takes what follows it up to its end, or up to the text's where it has none: no alternative is left
# that would be tried for each quote again, so the time grows with the length and not with its square.
_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER: Final = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_LONGEST_HEADER: Final = 4096
"""Characters of a header that is looked at: Prometheus sends some 300. A longer one counts as absent, as RFC 9110,
12.5.1 and 12.5.3, let a server disregard the field."""
_WEIGHT: Final = re.compile(r"[0-9]{0,9}(\.[0-9]{0,18})?")


class _Range(NamedTuple):
    name: str
    parameters: Mapping[str, str]
    weight: float
    position: int


class _Match(NamedTuple):
    weight: float
    specificity: int
    earliness: int


def wants_openmetrics(accept: str | None) -> bool:
    """Return whether OpenMetrics suits an Accept header better than the text format.

    Text is served where both suit alike, and where nothing on offer suits at all.
    """
    ranges = tuple(_ranges(accept))
    for strict in (True, False):
        text = _best(ranges, _TEXT_TYPE, strict=strict)
        openmetrics = _best(ranges, _OPENMETRICS_TYPE, strict=strict)
        if text.weight or openmetrics.weight:
            return openmetrics > text
    return False


def wants_gzip(accept_encoding: str | None) -> bool:
    """Return whether an Accept-Encoding header asks for gzip; a mere `*` does only where identity is refused."""
    weights: dict[str, float] = {}
    for item in _ranges(accept_encoding):
        weights.setdefault("gzip" if item.name == "x-gzip" else item.name, item.weight)
    anything = weights.get("*")
    identity = weights.get("identity", 0.0)
    if "gzip" in weights:
        return weights["gzip"] > 0 and weights["gzip"] >= identity
    refused = weights.get("identity") == 0
    return bool(anything) and refused


def wanted_names(query: str) -> frozenset[str] | None:
    """Return the metric names that `name[]` parameters ask for, None for all of them."""
    names = parse_qs(query, errors="replace").get("name[]")
    return frozenset(names) if names else None


def _best(ranges: tuple[_Range, ...], media_type: str, *, strict: bool) -> _Match:
    # RFC 9110, 12.5.1: the most specific range decides on a type, whatever the weights of the others.
    nothing = _Match(0.0, 0, 0)
    found = [match for item in ranges if (match := _match(item, media_type, strict=strict))]
    return max(found, key=lambda match: (match.specificity, match.weight, match.earliness), default=nothing)


def _match(item: _Range, media_type: str, *, strict: bool) -> _Match | None:
    if item.name == media_type:
        version = item.parameters.get("version")
        if version is None:
            return _Match(item.weight, 3, -item.position)
        known = version in _KNOWN_VERSIONS[media_type]
        return _Match(item.weight, 4, -item.position) if known or not strict else None
    if item.name == f"{media_type.partition('/')[0]}/*":
        return _Match(item.weight, 2, -item.position)
    return _Match(item.weight, 1, -item.position) if item.name == "*/*" else None


def _ranges(header: str | None) -> Iterator[_Range]:
    if header is None or len(header) > _LONGEST_HEADER:
        return
    for position, element in enumerate(_ELEMENT.findall(header)):
        name, *parameters = [part.strip() for part in _PARAMETER.findall(element)] or [""]
        pairs = [parameter.partition("=") for parameter in parameters]
        values = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        weight = _weight(values.get("q", "1"))
        if weight is not None:
            yield _Range(name.lower(), values, weight, position)


def _weight(text: str) -> float | None:
    if not _WEIGHT.fullmatch(text) or not any(map(str.isdigit, text)):
        return None
    return min(float(text), 1.0)

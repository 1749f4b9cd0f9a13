"""Whether two expositions say the same: compared line by line, whatever the order and the spelling of numbers.

Peers cannot be made byte-equal: prometheus_client writes 5.0 and Go 5, each has its own order. So a value is read as
the number that it is, lines are compared as a multiset, and only the automations' families count: the exporter's own
metrics are its alone.
"""

from typing import NamedTuple

from benchmarks.workload import FAMILIES

_MASK = (1 << 64) - 1


class Content(NamedTuple):
    """What an exposition says of the automations, in one comparable value."""

    samples: int
    digest: int
    """The sum of the lines' hashes: the same for the same lines in any order, in one process."""
    described: frozenset[str]
    """The HELP and TYPE lines."""


def content(body: bytes) -> Content:
    """Return what the text exposition says of the automations' families."""
    samples = digest = 0
    described = set()
    for line in body.decode().splitlines():
        if line.startswith("#"):
            if line.split(" ", 3)[2] in FAMILIES:
                described.add(line)
        elif line.startswith(_STARTS):
            series, _, value = line.rpartition(" ")
            samples += 1
            digest += hash((series, float(value)))
    return Content(samples, digest & _MASK, frozenset(described))


def help_texts(body: bytes) -> dict[str, str]:
    """Return the HELP text of each of the automations' families, as the exposition escapes it."""
    texts = {}
    for line in body.decode().splitlines():
        if line.startswith("# HELP ") and (parts := line.split(" ", 3))[2] in FAMILIES:
            texts[parts[2]] = parts[3]
    return texts


_STARTS = tuple(f"{family}{{" for family in FAMILIES)

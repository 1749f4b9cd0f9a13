"""A whole scrape: comments, runs and the exporter's own metrics in one body, as text or as one gzip stream."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.exposition.catalog import PER_AUTOMATION
from exporter.exposition.segment import EMPTY, Run, compress, gzip_chunks, gzip_size, join, run_of, text_chunks
from exporter.exposition.text import OPENMETRICS_END, header


@dataclass(frozen=True, slots=True)
class Document:
    """The body of one scrape."""

    run: Run

    def size(self, *, compressed: bool) -> int:
        """Return the number of bytes of the body."""
        return gzip_size(self.run) if compressed else self.run.length

    def chunks(self, *, compressed: bool) -> Iterator[bytes]:
        """Give the body in chunks: compressed as they are kept, or as text with one at a time in memory."""
        return gzip_chunks(self.run) if compressed else text_chunks(self.run)


class Frame:
    """What stands around the blocks of every scrape: each family's comments, ready for both formats."""

    def __init__(self) -> None:
        self._headers = {
            (family.name, openmetrics): run_of([compress([header(family, openmetrics=openmetrics)])])
            for family in PER_AUTOMATION
            for openmetrics in (False, True)
        }
        self._end = run_of([compress([OPENMETRICS_END])])

    def families(self, runs: Mapping[str, Run], *, openmetrics: bool, names: frozenset[str] | None) -> Run:
        """Return the selected families, each below its comments."""
        return join(
            part
            for family in PER_AUTOMATION
            if names is None or family.name in names
            for part in (self._headers[family.name, openmetrics], runs.get(family.name, EMPTY))
        )

    def document(self, families: Run, own: Run, *, openmetrics: bool) -> Document:
        """Return the families followed by the exporter's own metrics, which have no end mark."""
        return Document(join([families, own, self._end if openmetrics else EMPTY]))

"""What every figure is measured with: the effort, the sizes, a folder, and the programs."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.measure import Effort
from benchmarks.peers import golang
from benchmarks.programs import Program, python
from benchmarks.workload import SIZES, Workload

QUICK_SIZES: Final = ("1k", "10k")


@dataclass(frozen=True)
class Bench:
    """One run's settings."""

    folder: Path
    """Temporary; everything that a run writes is below it."""
    quick: bool = False
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)
    _made: dict[str, Path] = field(default_factory=dict)

    @property
    def effort(self) -> Effort:
        return Effort(cpu=0.1e9, scrapes=200, rounds=3) if self.quick else Effort()

    @property
    def sizes(self) -> dict[str, int]:
        """Return the numbers of links to measure with."""
        return {name: links for name, links in SIZES.items() if not self.quick or name in QUICK_SIZES}

    @property
    def largest(self) -> tuple[str, int]:
        """Return the name and the number of the most links."""
        return list(self.sizes.items())[-1]

    def log(self, name: str) -> Path:
        """Return a file for what a program writes to stderr."""
        return self.folder / f"{name}.{len(list(self.folder.glob('*.log')))}.log"

    def ours(self, workload: Workload) -> Program:
        """Start the exporter's store and web layer with these links."""
        sizes = (str(workload.links), str(workload.each), str(workload.first))
        return python("ours", "benchmarks.ours", *sizes, log=self.log("ours"))

    def peer(self, name: str, rows: Path, helps: Path) -> Program:
        """Start the peer of that name: `gauge`, `collector` or `golang`."""
        if name == "golang":
            return golang.start(self._go(), rows, helps, self.log(name))
        return python(name, f"benchmarks.peers.{name}", str(rows), str(helps), log=self.log(name))

    def input(self, workload: Workload, helps: dict[str, str]) -> tuple[Path, Path]:
        """Write what the peers read; return the two files."""
        rows, texts = self.folder / f"rows-{workload.links}.tsv", self.folder / "helps.json"
        workload.write(rows)
        texts.write_text(json.dumps(helps))
        return rows, texts

    def _go(self) -> Path:
        if "golang" not in self._made:
            self._made["golang"] = golang.build(self.folder)
        return self._made["golang"]

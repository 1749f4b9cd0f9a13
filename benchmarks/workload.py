"""The data of the benchmarks: the same links for every program, made from their numbers alone."""

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

LINKS_EACH: Final = 1000
STEPS: Final = 20
SIZES: Final = {"1k": 1_000, "10k": 10_000, "100k": 100_000, "1M": 1_000_000}

INFO: Final = "automation_info"
CLICKS: Final = "automation_link_clicks"
TOTAL: Final = "automation_total_clicks"
FAMILIES: Final = (INFO, CLICKS, TOTAL)


class Row(NamedTuple):
    """One link of one automation."""

    step_id: str
    url: str
    url_location: str
    clicks: int


class Workload(NamedTuple):
    """So many links, spread evenly over automations."""

    links: int
    each: int = LINKS_EACH
    first: int = 0
    """The number of the first automation, so that shards can hold different ones."""

    @property
    def automations(self) -> int:
        return self.links // self.each

    def ids(self) -> tuple[str, ...]:
        """Return the automations' ids."""
        return tuple(_uuid(f"automation {self.first + number}") for number in range(self.automations))

    def rows(self, number: int, *, clicked: int = 0) -> tuple[Row, ...]:
        """Return the rows of the automation of that number, each `clicked` times more than at first."""
        number += self.first
        chance = random.Random(number)
        steps = min(STEPS, self.each)
        per_step = -(-self.each // steps)
        step_ids = [_uuid(f"step {number} {step}") for step in range(steps)]
        return tuple(
            Row(
                step_ids[link // per_step],
                _url(chance, link),
                str(link % per_step),
                chance.randrange(1, 50_000) + clicked,
            )
            for link in range(self.each)
        )

    def write(self, path: Path) -> None:
        """Write all rows to a file that each peer reads: tab-separated, an automation's rows together."""
        with path.open("w", encoding="utf-8") as file:
            for number, automation_id in enumerate(self.ids()):
                for row in self.rows(number):
                    file.write(f"{automation_id}\t{row.step_id}\t{row.url}\t{row.url_location}\t{row.clicks}\n")


def read(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield (automation id, row) from a file that `write` made."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            automation_id, step_id, url, url_location, clicks = line.rstrip("\n").split("\t")
            yield automation_id, Row(step_id, url, url_location, int(clicks))


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _url(chance: random.Random, link: int) -> str:
    season = chance.choice(("spring", "summer", "autumn", "winter"))
    product = chance.randrange(1_000_000)
    return f"https://shop.example.com/c/{season}/p-{product:06d}?utm_source=sendgrid&utm_campaign=hi&i={link}"

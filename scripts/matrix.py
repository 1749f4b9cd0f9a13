"""Print the fault matrix; with --write put it into docs/reliability.md, with --check tell whether it stands there."""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.matrix.lists import LISTS
from tests.matrix.table import CASES, PLACES, Case

PAGE: Final = Path(__file__).parents[1] / "docs" / "reliability.md"
_BEGIN: Final = "<!-- matrix:begin -->"
_END: Final = "<!-- matrix:end -->"


def matrix() -> str:
    """Return the matrix as Markdown tables, one for each group of faults."""
    return "\n".join(_lines()).rstrip()


def filled(text: str) -> str:
    """Return the page with the matrix between its marks."""
    before, rest = text.split(_BEGIN, maxsplit=1)
    return f"{before}{_BEGIN}\n{matrix()}\n{_END}{rest.split(_END, maxsplit=1)[1]}"


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status."""
    if not arguments:
        print(matrix())
        return 0
    now = PAGE.read_text(encoding="utf-8")
    if now == (wanted := filled(now)):
        return 0
    if arguments == ["--check"]:
        print("docs/reliability.md: the matrix differs from tests/matrix/: run `make docs`", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    print("docs/reliability.md written")
    return 0


def _lines() -> Iterator[str]:
    for group, cases in groupby((*CASES, *LISTS), key=lambda case: case.group):
        yield from (f"### {group}", "", "| fault | once | lasting | requests |", "|---|---|---|---|")
        yield from (f"| {case.name} | {case.once} | {_lasting(case)} | {_asked(case)} |" for case in cases)
        yield ""
    yield from ("### No SendGrid answers", "", "| fault | outcome |", "|---|---|")
    yield from (f"| {place.name} | {place.outcome} |" for place in PLACES)


def _lasting(case: Case) -> str:
    if case.third is None or case.third is case.lasting:
        return str(case.lasting)
    return f"{case.lasting}, from the third poll with the same rows on {case.third}"


def _asked(case: Case) -> str:
    fewest, most = case.asked
    return str(fewest) if fewest == most else f"{fewest} to {most}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

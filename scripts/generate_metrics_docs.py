"""Write the README's table of metrics from docs/metrics.md; with --check only report whether it is up to date."""

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BEGIN: Final = "<!-- metrics:begin -->"
END: Final = "<!-- metrics:end -->"


def table(page: str) -> str:
    """Return name, type and meaning of every metric that the page's tables describe."""
    rows = re.findall(r"^\| (`[a-z_]+`) \| (gauge|counter|histogram) \|[^|]*\| (.+) \|$", page, flags=re.MULTILINE)
    return "\n".join(["| metric | type | meaning |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def filled(readme: str, page: str) -> str:
    """Return the README with its table regenerated; raise ValueError if the markers are missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the markers {BEGIN} and {END}")
    return f"{before}{begin}\n{table(page)}\n{end}{after}"


def main(arguments: list[str]) -> int:
    """Write the README, or compare it under --check; return the exit status."""
    readme = ROOT / "README.md"
    now = readme.read_text(encoding="utf-8")
    wanted = filled(now, (ROOT / "docs/metrics.md").read_text(encoding="utf-8"))
    if wanted == now:
        return 0
    if arguments == ["--check"]:
        print("README.md is not in step with docs/metrics.md: run `make docs`", file=sys.stderr)
        return 1
    readme.write_text(wanted, encoding="utf-8")
    print("README.md written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

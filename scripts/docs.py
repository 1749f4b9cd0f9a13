"""Write the generated parts of the README, or with --check tell which of them are not what they should be."""

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

ROOT: Final = Path(__file__).parents[1]


def metrics_table() -> str:
    """Return the names and meanings of docs/metrics.md, which is where they are written."""
    rows = re.findall(
        r"^\| (`[a-z_]+`) \| (gauge|counter|histogram) \|[^|]*\| (.+) \|$", _read("docs/metrics.md"), flags=re.MULTILINE
    )
    return "\n".join(["| metric | type | meaning |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def settings_table() -> str:
    """Return every key with its flag and variable, as the exporter's settings declare them."""
    from exporter.settings import reference  # noqa: PLC0415 - heavy, and not every section needs it

    lines = ["| key | flag | variable | default | meaning |", "|---|---|---|---|---|"]
    for key in reference():
        flag = f"`{key.flag}`" if key.flag else "none"
        lines.append(f"| `{key.key}` | {flag} | `{key.variable}` | {key.default} | {key.meaning} |")
    return "\n".join(lines)


def sections() -> Mapping[str, Callable[[], str]]:
    """Return what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`, by name."""
    known = {"metrics": metrics_table}
    if importlib.util.find_spec("exporter.settings"):
        known["settings"] = settings_table
    return MappingProxyType(known)


def filled(text: str) -> str:
    """Return the text with its generated parts anew; KeyError names a part whose markers are missing."""
    for name, generate in sections().items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if begin not in text or end not in text:
            raise KeyError(f"README.md lacks the markers {begin} and {end}")
        before, rest = text.split(begin, maxsplit=1)
        text = f"{before}{begin}\n{generate()}\n{end}{rest.split(end, maxsplit=1)[1]}"
    return text


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write the README, or compare it under --check; return the exit status."""
    now = _read("README.md")
    wanted = filled(now)
    if wanted == now:
        return 0
    if arguments == ["--check"]:
        print("README.md: a generated part differs from its source: run `make docs`", file=sys.stderr)
        return 1
    (ROOT / "README.md").write_text(wanted, encoding="utf-8")
    print("README.md written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Write the settings' table into docs/configuration.md, and `.env.example`; with --check report what is out of date.

Run it after a change of the settings: python scripts/generate_settings_docs.py
"""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from exporter.settings import Setting, reference

BEGIN = "<!-- settings:begin -->"
END = "<!-- settings:end -->"
PAGES = ("docs/configuration.md",)
EXAMPLE = ".env.example"
ROOT = Path(__file__).resolve().parent.parent


def table() -> str:
    """Return every setting as a table of Markdown."""
    lines = ["| key | flag | variable | default | meaning |", "|---|---|---|---|---|"]
    for row in reference():
        flag = f"`{row.flag}`" if row.flag else "none"
        default = row.default if row.default == "none" else f"`{row.default}`"
        meaning = row.meaning.replace("|", "\\|")
        lines.append(f"| `{row.key}` | {flag} | `{row.variable}` | {default} | {meaning} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """Return the page with a fresh table between its markers, or the page itself when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table()}\n{end}{after}" if begin and end else page


def env_example() -> str:
    """Return an environment file with every variable, each commented out."""
    return "\n".join(_example_lines()) + "\n"


def _example_lines() -> Iterator[str]:
    yield "# Every variable that the exporter reads; take the # away from those that you want to set."
    yield "# Made by scripts/generate_settings_docs.py. No quotes around values: not every reader takes them away."
    yield ""
    yield "# The SendGrid key, or the file that holds it."
    yield "#SENDGRID_API_KEY="
    yield "#SENDGRID_API_KEY_FILE="
    for row in reference():
        yield ""
        yield from textwrap.wrap(
            row.meaning.replace("`", ""), 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
        )
        yield f"#{row.variable}={_example_value(row)}"


def _example_value(row: Setting) -> str:
    return row.default if row.default not in ("none", "off", "3 intervals") else ""


def outdated(root: Path) -> dict[Path, str]:
    """Return the files that are not in step with the settings, with the text that they should have."""
    wanted = {root / EXAMPLE: env_example()}
    for name in PAGES:
        page = root / name
        if page.exists():
            wanted[page] = with_table(page.read_text(encoding="utf-8"))
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text}


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the files, or with --check only name those that should be written; return the exit code."""
    if arguments and list(arguments) != ["--check"]:
        sys.stderr.write("usage: generate_settings_docs.py [--check]\n")
        return 2
    changes = outdated(root)
    for path, text in sorted(changes.items()):
        sys.stdout.write(f"{path.relative_to(root)} {'is not in step with the settings' if arguments else 'written'}\n")
        if not arguments:
            path.write_text(text, encoding="utf-8")
    return 1 if arguments and changes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Draw the dashboards over the sample month: `python -m tools.pictures`."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tools.dashboards.files import FOLDER
from tools.pictures.sample.lines import every_line
from tools.pictures.sample.rules import recorded_lines
from tools.pictures.sample.server import made_blocks, serving
from tools.pictures.sample.story import STEP, Story, month

ROOT: Final = Path(__file__).parents[2]
RECORDED_DAYS: Final = 14
"""A week to look at, and the week before it to compare with."""


def main() -> int:
    """Make the month, let Prometheus serve it, and draw every dashboard into the folder."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.sample or Path(temporary)
        folder.mkdir(exist_ok=True)
        end = folder / "end"
        if not (folder / "data").exists():
            story = month(int(time.time()) // STEP * STEP)
            made_blocks(_lines(story), folder)
            end.write_text(f"{story.end:.0f}", encoding="utf-8")
        with serving(folder / "data") as address:
            return _drawn(address, end.read_text(encoding="utf-8"), arguments.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="where the pictures go")
    parser.add_argument("--sample", type=Path, help="keep the month in this folder, or take it from there")
    return parser.parse_args()


def _lines(story: Story) -> list[str]:
    lines = list(every_line(story))
    judged = [automation.id for automation in story.automations[:2]]
    single = ("automation_link", "sendgrid_automation_")
    seen = [text for text in lines if not text.startswith(single) or any(one in text for one in judged)]
    rules = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
    return [*lines[:-1], *recorded_lines(story, seen, rules, days=RECORDED_DAYS), lines[-1]]


def _drawn(address: str, end: str, out: Path) -> int:
    tool = Path(__file__).parent / "drawing" / "draw.mjs"
    chosen = ["--var", "automation=" + _welcome()]
    command = ["node", str(tool), "--prometheus", f"http://{address}", "--end", end, "--out", str(out), *chosen]
    files = [str(path) for path in sorted(FOLDER.glob("*.json"))]
    return subprocess.run([*command, *files], check=False).returncode  # noqa: S603 - our own tool


def _welcome() -> str:
    """Return the automation that the page of one automation shows: the one with the dead link."""
    return month(0.0).automations[0].id


if __name__ == "__main__":
    sys.exit(main())

"""The operator's pages: links lead somewhere, and the arithmetic is right."""

import re
from typing import Final

import pytest

from tests.deploy.chart import CHART, ROOT

PAGES: Final = (
    *(ROOT / "docs" / f"{name}.md" for name in ("docker", "kubernetes", "releasing", "scaling", "systemd")),
    CHART / "README.md",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_within_the_project_leads_somewhere(page: object) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]

    for link in links:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve()
        assert target.is_file(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
        assert not anchor or anchor in {
            re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
        }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_named_script_and_folder_is_there(page: object) -> None:
    named = re.findall(r"`((?:scripts|deploy|prometheus|grafana|helm)/[\w./-]*)", page.read_text())

    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize(
    "page", sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]), ids=lambda page: page.stem
)
def test_no_command_opens_a_port_on_every_address(page: object) -> None:
    """Docker's own rules stand before the firewall's: a port without an address is open to whoever reaches it."""
    commands = re.findall(r"^(?: {4}|\t)?docker run (?:.*\\\n)*.*", page.read_text(), re.MULTILINE)
    ports = [port for command in commands for port in re.findall(r"(?:-p|--publish)[ =](\S+)", command)]

    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert ports or page.stem != "docker"


@pytest.mark.parametrize("name", ["sendgrid-api-key", ".env"])
def test_secret_files_that_the_pages_lead_to_are_never_committed(name: str) -> None:
    assert f"/{name}" in (ROOT / ".gitignore").read_text().splitlines()
    assert name != "sendgrid-api-key" or f"/dev/stdin {name}" in (ROOT / "docs" / "docker.md").read_text()
    assert name != ".env" or (ROOT / ".env.example").is_file()


def test_the_table_of_rounds_is_what_the_formula_says() -> None:
    rows = re.findall(
        r"^\| ([\d,]+) \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "scaling.md").read_text(), re.MULTILINE
    )
    units = {"h": 3600, "min": 60, "s": 1}

    assert len(rows) == 4
    for automations, *cells in rows:
        for rate, cell in zip((300, 600), cells, strict=True):
            written = sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+) (h|min|s)\b", cell))
            assert abs(written - int(automations.replace(",", "")) * 60 / rate) < 60, (automations, cell)

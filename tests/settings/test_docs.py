"""What the documentation says of the settings is what the exporter reads."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from exporter.settings import load, reference
from tests.factories import KEY

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "generate_settings_docs.py"


def generate(root: Path, *arguments: str) -> int:
    return int(runpy.run_path(str(SCRIPT))["main"](arguments, root))


def test_documentation_is_in_step_with_the_settings() -> None:
    result = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (0, ""), "run python scripts/generate_settings_docs.py"


def test_drift_is_found_reported_and_put_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "configuration.md"
    page.write_text("before\n<!-- settings:begin -->\nold\n<!-- settings:end -->\nafter\n", encoding="utf-8")

    before = generate(tmp_path, "--check")
    reported = capsys.readouterr().out
    written = generate(tmp_path)
    after = generate(tmp_path, "--check")

    assert (before, written, after) == (1, 0, 0)
    assert "docs/configuration.md is not in step" in reported
    content = page.read_text(encoding="utf-8")
    assert content.startswith("before\n")
    assert content.endswith("after\n")
    assert all(f"`{row.key}`" in content for row in reference())


def test_generator_refuses_other_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(tmp_path, "--what") == 2
    assert "usage" in capsys.readouterr().err


def test_example_of_variables_is_read_when_it_is_filled_in() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    lines = [line[1:] for line in example.splitlines() if line.startswith("#") and "=" in line and line[1] != " "]
    variables = dict(line.split("=", 1) for line in lines)
    filled = {name: value for name, value in variables.items() if value}

    invocation = load(["--automations", "2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c"], {**filled, "SENDGRID_API_KEY": KEY})

    assert variables.keys() == {row.variable for row in reference()} | {"SENDGRID_API_KEY", "SENDGRID_API_KEY_FILE"}
    assert invocation.warnings == ()


def test_example_of_a_file_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    tree = yaml.safe_load(example)
    key = tmp_path / "key"
    key.write_text("k", encoding="utf-8")
    file = tmp_path / "exporter.yaml"
    file.write_text(example.replace(tree["sendgrid"]["api_key_file"], str(key)), encoding="utf-8")

    settings = load(["--config.file", str(file)], {}).settings

    assert settings is not None
    assert [automation.name for automation in settings.automations][:2] == ["Welcome series", "Win back"]

"""promtool, Prometheus' own judge of expositions, rules and configurations, and maker of past data."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.programs import program


@dataclass(frozen=True)
class Verdict:
    """What promtool said."""

    passed: bool
    output: str


def check_metrics(exposition: str, *, binary: str = "promtool") -> Verdict:
    """Check the text of an exposition, its style included."""
    return _run(binary, "check", "metrics", text=exposition)


def check_rules(*files: Path, binary: str = "promtool") -> Verdict:
    return _run(binary, "check", "rules", "--lint=all", "--lint-fatal", *map(str, files))


def unit_test_rules(*files: Path, binary: str = "promtool") -> Verdict:
    return _run(binary, "test", "rules", *map(str, files))


def check_config(file: Path, *, binary: str = "promtool") -> Verdict:
    return _run(binary, "check", "config", str(file))


def with_matcher(expression: str, name: str, value: str, *, binary: str = "promtool") -> str:
    """Return the expression with a matcher for the label in every selector."""
    verdict = _run(binary, "--experimental", "promql", "label-matchers", "set", expression, name, value)
    assert verdict.passed, verdict.output
    return verdict.output.strip()


def create_blocks(openmetrics: str, directory: Path, *, binary: str = "promtool") -> None:
    """Write samples with timestamps, as an OpenMetrics text that ends in `# EOF`, into a Prometheus data directory."""
    directory.mkdir(parents=True, exist_ok=True)
    source = directory / "past.openmetrics"
    source.write_text(openmetrics, encoding="utf-8")
    verdict = _run(
        binary, "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(source), str(directory), seconds=600
    )
    source.unlink()
    assert verdict.passed, verdict.output


def _run(binary: str, *arguments: str, text: str = "", seconds: float = 120) -> Verdict:
    run = subprocess.run(
        [program(binary), *arguments],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )
    return Verdict(passed=run.returncode == 0, output=run.stdout)

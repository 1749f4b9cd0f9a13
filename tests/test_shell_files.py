"""Completions and the man page: in step with the settings, and taken by the programs that they are for."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from exporter.settings import reference
from exporter.settings.reference import COMMAND, MODES
from tests.programs import needs, program

pytestmark = pytest.mark.e2e

ROOT: Final = Path(__file__).parents[1]
SCRIPT: Final = ROOT / "scripts" / "generate_shell_files.py"
SHARE: Final = ROOT / "share"
BASH: Final = SHARE / "bash-completion" / "completions" / COMMAND
ZSH: Final = SHARE / "zsh" / "site-functions" / f"_{COMMAND}"
FISH: Final = SHARE / "fish" / "vendor_completions.d" / f"{COMMAND}.fish"
MAN: Final = SHARE / "man" / "man1" / f"{COMMAND}.1"
FLAGS: Final = [flag for mode in MODES for flag in mode.flags] + [each.flag for each in reference() if each.flag]


def run(*command: str | Path, cwd: Path | None = None, **env: str) -> str:
    """Return what the program prints, after it ended well and without a complaint."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True, text=True, timeout=60, check=False, cwd=cwd, env={**os.environ, **env},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_files_are_in_step_with_the_settings() -> None:
    assert run(sys.executable, SCRIPT, "--check") == "", "run python scripts/generate_shell_files.py"


@pytest.mark.parametrize("file", [BASH, ZSH, FISH, MAN], ids=lambda path: path.parts[-3])
def test_every_flag_is_in_every_file(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("\\-", "-")

    # fish has its own way of writing them.
    written = {flag: f" -l {flag[2:]} " if file == FISH else flag for flag in FLAGS if flag != "-h"}
    assert [flag for flag, form in written.items() if form not in text] == []


def completed(cwd: Path, *words: str) -> list[str]:
    """Return what bash offers for the last word."""
    call = "_" + COMMAND.replace("-", "_")
    script = f'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); {call}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return run(program("bash"), "-c", script, BASH, COMMAND, *words, cwd=cwd).split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--poll.st"], ["--poll.stale-after"]),
        (["--do"], ["--doctor"]),
        (["--log.level", ""], ["debug", "info", "warning", "error"]),
        (["--log.level", "=", "de"], ["debug"]),
        (["--log.level", "="], ["debug", "info", "warning", "error"]),
        (["--labels.url", "strip_q"], ["strip_query"]),
        (["--web.open-health", "f"], ["false"]),
        (["--web.open-health", "--che"], ["--check"]),
        (["--config.file", "ex"], ["exporter.yaml"]),
        (["--config.file", "=", "ex"], ["exporter.yaml"]),
        (["--poll.interval", "--po"], []),
        (["--check", "--onc"], ["--once"]),
        (["word"], []),
    ],
    ids=" ".join,
)
def test_bash_completes_flags_words_and_files(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    (tmp_path / "exporter.yaml").touch()

    assert completed(tmp_path, *words) == expected


def test_bash_finds_the_completion_by_the_command() -> None:
    assert COMMAND in run(program("bash"), "-c", f'source "{BASH}"; complete -p {COMMAND}')


@needs("fish")
def test_fish_completes_flags_and_words(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}

    def offered(line: str) -> list[str]:
        script = f"source '{FISH}'; complete -C '{COMMAND} {line}'"
        return [each.partition("\t")[0] for each in run(program("fish"), "-c", script, **home).splitlines()]

    assert offered("--log.level i") == ["info"]
    # fish 4 adds flags that have these letters in this order somewhere.
    assert [each for each in offered("--doc") if each.startswith("--doc")] == ["--doctor"]
    assert set(FLAGS) - {"-h"} <= set(offered("--"))


@needs("zsh")
def test_zsh_takes_the_completion() -> None:
    run(program("zsh"), "--no-rcs", "--no-exec", ZSH)
    # `_arguments` itself only works within a completion; its words are what a shell must be able to read.
    words = run(program("zsh"), "--no-rcs", "-c", f'_arguments() {{ print -rl -- "$@" }}; source "{ZSH}"').splitlines()
    assert "--check[validate the configuration]" in words
    assert "-h[print the help]" in words
    assert "--help[print the help]" in words
    assert any(word.startswith("--log.level=[") and word.endswith(":(debug info warning error)") for word in words)
    assert any(word.startswith("*--web.listen-address=[") for word in words)
    assert all(len(re.findall(r"(?<!\\)\[", word)) == 1 for word in words[1:])


@needs("mandoc")
def test_man_page_has_nothing_to_complain_about() -> None:
    done = subprocess.run(
        [program("mandoc"), "-T", "lint", "-W", "warning", str(MAN)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    # It names no date: that of the release is the package's.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@needs("mandoc")
def test_man_page_reads_as_the_help_does() -> None:
    shown = run(program("mandoc"), "-T", "ascii", "-O", "width=200", MAN)
    text = re.sub(".\b", "", shown)  # bold type, as a typewriter made it

    assert [flag for flag in FLAGS if flag not in text] == []
    assert "EXIT STATUS" in text
    assert "Variable: EXPORTER_POLL__STALE_AFTER" in text


def test_page_links_each_file_where_its_program_looks_on_a_machine_without_its_folder(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(share=.*?)^```$", page, re.MULTILINE | re.DOTALL)
    here = block.replace("/opt/sendgrid-automation-exporter/share", shlex.quote(str(SHARE))).replace(
        " /usr/", f" {tmp_path}/usr/"
    )

    run(program("bash"), "-e", "-c", here.replace("sudo ", ""))

    linked = {path.resolve() for path in tmp_path.rglob("*") if path.is_symlink()}
    assert linked == {BASH, ZSH, FISH, MAN}

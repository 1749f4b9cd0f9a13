"""Write the completions for bash, zsh and fish and the man page into share/; with --check only report what is stale.

All are read off the reference that `--help` prints. Run it after a change of the settings or the modes:
python scripts/generate_shell_files.py
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from exporter.settings.reference import COMMAND, EXIT_CODES, INTRODUCTION, MODES, Setting, reference

ROOT: Final = Path(__file__).resolve().parent.parent
BASH: Final = Path("share/bash-completion/completions") / COMMAND
ZSH: Final = Path("share/zsh/site-functions") / f"_{COMMAND}"
FISH: Final = Path("share/fish/vendor_completions.d") / f"{COMMAND}.fish"
MAN: Final = Path("share/man/man1") / f"{COMMAND}.1"
_WIDTH: Final = 70
_MADE: Final = "Made by scripts/generate_shell_files.py from the reference that --help prints."


def bash() -> str:
    """Return the completion for bash, which splits words at `=` and `:`."""
    settings = _with_flags()
    switches = [each.flag for each in settings if not each.metavar]
    cases = "".join(
        f"        {each.flag}) {_bash_words(each.choices)}; return ;;\n" for each in settings if each.choices
    )
    files = "|".join(str(each.flag) for each in settings if each.metavar == "FILE")
    others = "|".join(str(each.flag) for each in settings if each.metavar not in ("", "FILE") and not each.choices)
    flags = [*(each.flags[-1] for each in MODES), *(str(each.flag) for each in settings)]
    return f"""\
# bash completion for {COMMAND}
# {_MADE}

_{_identifier()}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    [[ $word != = ]] || word=
    [[ $before != = ]] || before=${{COMP_WORDS[COMP_CWORD - 2]}}
    COMPREPLY=()
    case $before in
{cases}\
        {files})
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return ;;
        {others}) return ;;
        {"|".join(str(flag) for flag in switches)})
            [[ $word == -* ]] || {_bash_words(("true", "false"))} ;;
    esac
    [[ $word != -* ]] || {_bash_words(flags)}
}}

complete -F _{_identifier()} {COMMAND}
"""


def zsh() -> str:
    """Return the completion for zsh."""
    modes = [f"  {_zsh_names(each.flags)}'[{_zsh_text(each.short)}]'" for each in MODES]
    settings = [f"  '{'*' if each.is_repeatable else ''}{each.flag}{_zsh_value(each)}'" for each in _with_flags()]
    body = " \\\n".join([*modes, *settings])
    return f"#compdef {COMMAND}\n# {_MADE}\n\n_arguments -s \\\n{body}\n"


def fish() -> str:
    """Return the completion for fish."""
    lines = [f"# fish completion for {COMMAND}", f"# {_MADE}", "", f"complete -c {COMMAND} -f"]
    for mode in MODES:
        names = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in mode.flags)
        lines.append(f"complete -c {COMMAND} {names} -d '{_fish_text(mode.short)}'")
    for each in _with_flags():
        value = f" -x -a '{' '.join(each.choices)}'" if each.choices else ""
        value = value or (" -r -F" if each.metavar == "FILE" else " -x" if each.metavar else "")
        lines.append(f"complete -c {COMMAND} -l {str(each.flag)[2:]}{value} -d '{_fish_text(_first_sentence(each))}'")
    return "\n".join(lines) + "\n"


def man() -> str:
    """Return the man page."""
    return "\n".join(_man_lines()) + "\n"


def _man_lines() -> Iterator[str]:
    yield f'.\\" {_MADE}'
    yield f'.TH {_roff(COMMAND.upper())} 1 "" "" "User commands"'
    yield ".SH NAME"
    yield f"{_roff(COMMAND)} \\- link clicks of SendGrid automations for Prometheus"
    yield ".SH SYNOPSIS"
    yield f".B {_roff(COMMAND)}"
    yield "[\\fIMODE\\fR] [\\fIFLAG\\fR ...]"
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate(INTRODUCTION.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield from _roff_text(paragraph)
    yield ".SH MODES"
    for mode in MODES:
        yield ".TP"
        yield f".B {_roff(', '.join(mode.flags))}"
        yield from _roff_text(mode.meaning)
    yield ".SH SETTINGS"
    for group in dict.fromkeys(each.path[0] for each in reference()):
        yield f".SS {_roff(group)}"
        for each in (each for each in reference() if each.path[0] == group):
            default = "" if each.default == "none" else f" Default: {each.default}."
            yield ".TP"
            yield f".B {_roff(each.flag or each.key)}{f' {each.metavar}' if each.metavar and each.flag else ''}"
            yield from _roff_text(f"{each.meaning.replace('`', '')}{default}")
            yield ".br"
            yield f"Variable: {_roff(each.variable)}"
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES.items():
        yield ".TP"
        yield f".B {code}"
        yield _roff(meaning)


def _roff_text(text: str) -> Iterator[str]:
    """Yield the text in short lines, as roff's sources have them."""
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        escaped = line.replace("\\", "\\e").replace("-", "\\-")
        yield f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _roff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


def _with_flags() -> Sequence[Setting]:
    return [each for each in reference() if each.flag is not None]


def _identifier() -> str:
    return COMMAND.replace("-", "_")


def _first_sentence(each: Setting) -> str:
    return re.split(r"(?<=[.;])\s", each.meaning.replace("`", ""))[0].rstrip(".;")


def _bash_words(words: Sequence[str]) -> str:
    return f"mapfile -t COMPREPLY < <(compgen -W '{' '.join(words)}' -- \"$word\")"


def _zsh_names(flags: Sequence[str]) -> str:
    return flags[0] if len(flags) == 1 else f"{{{','.join(flags)}}}"


def _zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def _zsh_value(each: Setting) -> str:
    meaning = f"[{_zsh_text(_first_sentence(each))}]"
    if not each.metavar:
        return meaning
    action = f"({' '.join(each.choices)})" if each.choices else "_files" if each.metavar == "FILE" else " "
    return f"={meaning}:{each.metavar}:{action}"


def _fish_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def files() -> Mapping[Path, str]:
    """Return every file with its text."""
    return {BASH: bash(), ZSH: zsh(), FISH: fish(), MAN: man()}


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the files, or with --check only name those that should be written; return the exit code."""
    if arguments and list(arguments) != ["--check"]:
        sys.stderr.write("usage: generate_shell_files.py [--check]\n")
        return 2
    stale = {
        path: text
        for path, text in files().items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        sys.stdout.write(f"{path} {'is not in step with the settings' if arguments else 'written'}\n")
        if not arguments:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``dagrun completion``."""

from typing import Final, Literal

from cyclopts import App

from dagrun.cli import output

_WORDS: Final = 'COMPREPLY=( $(compgen -f -- "${cur}") )'
_LINES: Final = 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "${cur}")'
"""As generated, a file's name with a space would be two, and a folder the end of a path."""

_FUNCTION: Final = ("_cyclopts_dagrun", "_dagrun")
_CALLED: Final = """
if [[ $funcstack[1] == _dagrun ]]; then
  _dagrun "$@"
else
  compdef _dagrun dagrun
fi
"""
"""As generated, the function would be found only in a file of its own name, and never by source."""


def print_script(app: App, shell: Literal["bash", "zsh", "fish"]) -> int:
    """Print what lets a shell complete dagrun's commands. Give the exit code.

    The script holds all commands and options, so completing starts no program.
    """
    script = app.generate_completion(prog_name="dagrun", shell=shell)
    if shell == "bash":
        script = script.replace(_WORDS, _LINES)
    elif shell == "zsh":
        script = script.replace(*_FUNCTION) + _CALLED
    output.say_text(script)
    return output.DONE

"""``dagrun completion``, in a real bash and on a real terminal."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from dagrun.settings.client import ClientSettings
from dagrun.settings.names import flag_of

SHELLS = ("bash", "zsh", "fish")
ROLES = ("engine", "orchestrator")
OF_SERVERS = ("engines", "tokens", "workflows")
COMMANDS = (
    *("backup", "completion", "events", "plugins", "run", "runs", "validate"),
    *ROLES,
    *OF_SERVERS,
)
OF_RUNS = (
    *("start", "tree", "list", "show", "logs", "watch", "explain"),
    *("cancel", "pause", "resume", "prune", "retry", "rerun"),
)
OF_EVENTS = (
    "--after",
    "--follow",
    "--limit",
    "--run",
    *(flag_of(field.name) for field in attrs.fields(ClientSettings)),
    "--severity",
    "--type",
    "--workflow",
)
EVERYWHERE = ("--config", "--data-dir", "--help", "--json", "--version")
LOADED = """
import sys
from dagrun.cli.app import run_command
assert run_command(["completion", "bash"]) == 0
print(*sys.modules, file=sys.stderr)
"""


def script(shell):
    argv = [sys.executable, "-m", "dagrun", "completion", shell]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def bash_script():
    return script("bash")


@pytest.fixture
def complete(tmp_path, bash_script):
    """Give what bash offers for a line, in a folder with a few files, without any program."""
    (tmp_path / "completion").write_text(bash_script)
    folder = tmp_path / "here"
    (folder / "two words").mkdir(parents=True)
    (folder / "two words" / "w.yaml").touch()

    def ask(*words):
        typed = " ".join(f"'{word}'" for word in words)
        asked = (
            f"source {tmp_path}/completion; COMP_WORDS=(dagrun {typed}); COMP_CWORD={len(words)};"
            ' _dagrun; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["/bin/bash", "-c", asked],
            capture_output=True,
            text=True,
            cwd=folder,
            env={"PATH": ""},
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return set(done.stdout.split("\n")) - {""}

    return ask


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], set(COMMANDS)),
        (["ru"], {"run", "runs"}),
        (["val"], {"validate"}),
        (["runs", ""], set(OF_RUNS)),
        (["engines", ""], {"list", "drain", "undrain"}),
        (["workflows", "re"], {"register"}),
        (["runs", "logs", "--at"], {"--attempt"}),
        (["runs", "logs", "--f"], {"--follow"}),
        (["runs", "prune", "--"], {"--older-than", "--retention", *EVERYWHERE}),
        (["run", "--re"], {"--resume", "--retention"}),
        (["run", "--http"], {"--http-allow"}),
        (["run", "two"], {"two words"}),
        (["run", "--inputs-file", "two words/"], {"two words/w.yaml"}),
        (["events", "--f"], {"--follow"}),
        (["events", "--"], {*OF_EVENTS, *EVERYWHERE}),
        (["backup", "two words/"], {"two words/w.yaml"}),
        (["backup", "--r"], {"--restore"}),
        (["completion", ""], set(SHELLS)),
        (["nothing"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_completes_commands_flags_and_files_without_starting_a_program(
    complete, words, offered
):
    assert complete(*words) == offered


def test_a_file_in_a_folder_whose_name_has_a_space_is_completed_on_a_terminal(
    complete, tmp_path, bash_script
):
    lines = (
        f"source {tmp_path}/completion",
        'dagrun() { printf "<%s>" "$@" > ../given; }',
        "dagrun run tw\tw\t",  # the folder, and what is in it
        "exit",
    )
    screen, keyboard = pty.openpty()
    os.write(screen, "".join(line + "\n" for line in lines).encode())
    with subprocess.Popen(
        ["/bin/bash", "--norc", "--noprofile", "-i"],
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        cwd=tmp_path / "here",
        env={"PATH": "", "TERM": "dumb", "INPUTRC": "/dev/null"},
        start_new_session=True,
    ) as bash:
        os.close(keyboard)
        try:
            assert bash.wait(timeout=60) == 0
        finally:
            bash.kill()
    os.close(screen)
    assert Path(tmp_path / "given").read_text() == "<run><two words/w.yaml>"


def test_printing_a_script_loads_no_plugin():
    argv = [sys.executable, "-c", LOADED]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.split())
    assert "dagrun.cli.completion" in loaded
    assert not {name for name in loaded if name.startswith(("dagrun.plugin", "dagrun.builtin"))}
    assert loaded.isdisjoint({"trio", "pluggy", "dagrun_lua", "dagrun_cron"})


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_is_told_of_every_command(shell):
    text = script(shell)
    for command in (*COMMANDS, *OF_RUNS):
        assert re.search(rf"\b{command}\b", text)
    assert "dagrun" in text.splitlines()[0]


def test_a_script_for_zsh_works_as_a_file_of_its_own_and_when_it_is_sourced():
    head, tail = (
        "#compdef dagrun\n",
        'if [[ $funcstack[1] == _dagrun ]]; then\n  _dagrun "$@"\nelse\n',
    )
    text = script("zsh")
    assert text.startswith(head)
    assert "\n_dagrun() {\n" in text
    assert text.endswith(f"{tail}  compdef _dagrun dagrun\nfi\n")


def test_an_unknown_shell_is_refused():
    argv = [sys.executable, "-m", "dagrun", "completion", "csh"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert '"bash", "zsh", "fish"' in done.stderr

"""The pages about several engines show what a reader gets who types it in one shell."""

import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from dagrun.testing.programs import launching

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "50051"
LIMIT = 60.0
VARIES = (
    (r" *\b\d+\.\d+s\b", " TIME"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b[0-9a-v]{26}\b", "RUN"),
)


@pytest.fixture
def port():
    """Give a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


@pytest.fixture
def shell(tmp_path, port):
    """Give a shell in which one thing is typed after the other, by a reader without a server."""
    tools = tmp_path / "tools"
    tools.mkdir()
    command = tools / "dagrun"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m dagrun "$@"\n')
    command.chmod(0o755)
    environment = {
        "GRPC_PORT": port,
        "HOME": str(tmp_path),
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
    }
    process = subprocess.Popen(
        ["/bin/bash"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield Shell(process, port)
    process.stdin.write("kill $(jobs -p)\nwait\nexit\n")
    process.communicate(timeout=LIMIT)


class Shell:
    def __init__(self, process, port):
        self._process, self._port = process, port

    def type(self, text):
        """Give what is printed."""
        self._process.stdin.write(f"{text.replace(PORT, self._port)}\necho '-- typed --'\n")
        self._process.stdin.flush()
        lines = iter(self._process.stdout.readline, "-- typed --\n")
        return "".join(line for line in lines if " Killed " not in line)


def blocks(page, start, end):
    part = (ROOT / page).read_text().partition(start)[2].partition(end)[0]
    return FENCED.findall(part)


def without_what_varies(text):
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    return text


@pytest.mark.timeout(180)
def test_a_reader_of_the_readme_kills_an_engine_and_the_other_one_goes_on(shell, tmp_path):
    readme = (ROOT / "README.md").read_text()
    (count,) = re.findall(r"`count.yaml`.*?```yaml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "count.yaml").write_text(count)
    (start, _), *steps = [
        (text, None) for _, text in blocks("README.md", "## Several engines", "\n## ")
    ]
    assert shell.type(start) == ""
    typed = [text for text, _ in steps]
    run_id, end = None, time.monotonic() + LIMIT
    for commands, shown in zip(typed[::2], typed[1::2], strict=True):
        printed = ""
        while without_what_varies(printed) != without_what_varies(shown):
            printed = shell.type(re.sub(r"\b[0-9a-v]{26}\b", run_id or "", commands))
            if commands != "dagrun engines list\n" or time.monotonic() > end:
                break  # only who looks for engines looks again
        assert without_what_varies(printed) == without_what_varies(shown)
        run_id = next(iter(re.findall(r"\b[0-9a-v]{26}\b", printed)), run_id)


def token_in(printed):
    (token,) = re.findall(r"^dagrun_\S+$", printed, re.MULTILINE)
    return token


def certificates(folder):
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    own.private_key_pem.write_to_path(folder / "key.pem")
    with (folder / "cert.pem").open("wb") as file:
        for part in own.cert_chain_pems:
            file.write(part.bytes())
    authority.cert_pem.write_to_path(folder / "ca.pem")


@pytest.mark.timeout(120)
def test_a_reader_of_the_page_lets_an_engine_in_with_a_token_and_tls(shell, tmp_path, port):
    certificates(tmp_path)
    typed = [text for _, text in blocks("docs/engines.md", "#", "\0")]
    create, listing, orchestrator, engine, client, _compiles = typed
    admin = token_in(shell.type(create))
    assert "accepted   me" in shell.type(listing)
    make, serve = orchestrator.splitlines()
    token = token_in(shell.type(make))

    def program(line):
        places = {
            "0.0.0.0": "localhost",
            "orchestrator.example": "localhost",
            "TOKEN=TOKEN ": "",
            "TOKEN": token,
        }
        for shown, here in {**places, PORT: port}.items():
            line = line.replace(shown, here)
        return shlex.split(line.removeprefix("DAGRUN_"))

    data = {
        "DAGRUN_DATA_DIR": shell.type("echo ${XDG_DATA_HOME:-$HOME/.local/share}/dagrun").strip()
    }
    with launching(tmp_path) as launch:
        serving = launch("-m", *program(serve), "--grpc-port", port, **data)
        serving.read_past("listening on", "stderr")
        working = launch("-m", *program(engine), "--engine-id", "e1", DAGRUN_TOKEN=token)
        working.read_past("is attached", "stderr")
        asked = client.replace("TOKEN=TOKEN", f"TOKEN={admin}").replace(
            "orchestrator.example", "localhost"
        )
        assert shell.type(asked) == f"dagrun: there are no runs on localhost:{port}\n"
        assert shell.type("dagrun engines list").startswith("e1  idle")
        refused = shell.type(f"DAGRUN_TOKEN={token} dagrun engines list; echo $?")
        assert "the token's is engine" in refused
        assert refused.endswith("\n1\n")

"""What an engine was started with, and what of it the guard and the nodes inherit."""

import os
import subprocess
import sys

import pytest

LIMIT = 20.0  # seconds
STAY = "touch here.$$; until test -e go; do sleep 0.05; done"
LEAVE = "until test $(ls here.* | wc -l) = 40; do sleep 0.05; done; touch go"
GLIBC = 3 << 31  # signals 32 and 33 are glibc's own; its posix_spawn always ignores them
RUN = """
import sys, trio
from dagrun.services.processes import open_processes

async def main():
    async with open_processes() as processes:
        process = await processes.spawn(
            sys.argv[1:], env={"PATH": "/usr/bin:/bin"}, cwd="/", stdout=1
        )
        print("code", await process.wait(), flush=True)

trio.run(main)
"""


def run_with(prepare, *argv):
    """Give what a program prints whose engine begins as ``prepare`` says."""
    start = f"{prepare}\nimport os, sys\nos.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", start, "-c", RUN, *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "prepare",
    [
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    ],
    ids=["blocked", "ignored"],
)
def test_an_engine_that_hears_of_no_child_still_learns_of_ends(prepare):
    assert run_with(prepare, "sh", "-c", "exit 3") == ["code 3"]


def test_a_program_inherits_no_signal_that_is_blocked_or_ignored():
    prepare = (
        "import signal\n"
        "every = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, every)\n"
        "for number in every: signal.signal(number, signal.SIG_IGN)"
    )
    lines = run_with(prepare, "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    blocked, ignored = (int(line.split()[1], 16) for line in lines[:2])
    assert blocked == 0
    assert ignored & ~GLIBC == 0


@pytest.mark.parametrize("soft", [64, 100])
def test_a_program_may_open_as_many_files_as_before_the_engine_raised_its_limit(soft):
    prepare = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, 5000))"
    lines = run_with(prepare, "sh", "-c", "ulimit -Sn; ulimit -Hn")
    assert lines == [str(soft), "5000", "code 0"]


def test_an_engine_may_open_more_files_from_its_beginning_on():
    code = (
        "import resource, trio\n"
        "from dagrun.services.processes import open_processes\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 5000))\n"
        "async def main():\n"
        "    async with open_processes():\n"
        "        print(*resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        "trio.run(main)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "5000 5000\n"


def test_more_nodes_run_at_once_than_the_inherited_limit_of_files_allows(tmp_path):
    nodes = "".join(
        f"    - {{id: n{number}, executor: {{type: shell, code: {command!r}}}}}\n"
        for number, command in enumerate([STAY] * 40 + [LEAVE])
    )
    (tmp_path / "w.yaml").write_text(
        "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\n"
        f"spec:\n  timeout: 20s\n  nodes:\n{nodes}"
    )
    command = 'ulimit -Sn 64; exec "$0" -m dagrun run --parallel 41 w.yaml'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=tmp_path,
        env={**os.environ, "DAGRUN_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_program_is_told_nothing_of_its_mark():
    assert run_with("", "env") == ["PATH=/usr/bin:/bin", "code 0"]

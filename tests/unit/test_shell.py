import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from dagrun.builtin.shell import ShellExecutor, ShellOptions
from dagrun.domain.masking import Mask, Masker
from dagrun.errors import NodeError, WorkerDied
from dagrun.services.engine.vault import MaskedLog
from dagrun.services.node_logs import LogFile
from dagrun.services.processes import open_processes
from dagrun.testing.executors import ExecutorSuite, FakeContext, is_running, written_pid

WRITE_OUTPUT = "cat > $DAGRUN_OUTPUT"


class TestShellKeepsWhatAnExecutorPromises(ExecutorSuite):
    def executor(self):
        return ShellExecutor()

    def gives(self):
        return ShellOptions(code='echo \'{"answer": 42}\' > "$DAGRUN_OUTPUT"')

    def fails(self):
        return ShellOptions(code="exit 3"), "exit_code"

    def prints(self):
        return ShellOptions(command="echo hello from the node")

    def hangs(self):
        return ShellOptions(code="trap '' TERM; echo $$ > pid; while :; do sleep 1; done")

    def floods(self):
        return ShellOptions(
            code="{ printf '{\"a\": \"'; head -c 1100000 /dev/zero | tr '\\0' a; printf '\"}'; }"
            ' > "$DAGRUN_OUTPUT"'
        )

    def tells_environment(self):
        names = "env | cut -d= -f1 | sed 's/.*/\"&\"/' | paste -sd,"
        return ShellOptions(code=f'echo "{{\\"names\\": [$({names})]}}" > "$DAGRUN_OUTPUT"')

    def tells_secret(self):
        program = "import json, os; print(json.dumps({'value': os.environ.get('API_KEY')}))"
        return ShellOptions(code=f'{sys.executable} -c "{program}" > "$DAGRUN_OUTPUT"')


async def execute(options: ShellOptions, scratch: Path, **more):
    async with open_processes() as processes:
        context = FakeContext(options=options, scratch=scratch, processes=processes, **more)
        return await ShellExecutor().execute(context), context


async def failure(options: ShellOptions, scratch: Path, **more) -> NodeError:
    async with open_processes() as processes:
        context = FakeContext(options=options, scratch=scratch, processes=processes, **more)
        with pytest.raises(NodeError) as caught:
            await ShellExecutor().execute(context)
    return caught.value


async def test_the_exit_code_is_an_output_and_no_file_is_left(tmp_path):
    outputs, _ = await execute(ShellOptions(command=["true"]), tmp_path)
    assert outputs == {"exit_code": 0}
    assert list(tmp_path.iterdir()) == []


async def test_inputs_are_in_the_file_and_go_back_through_the_other_one(tmp_path):
    options = ShellOptions(command='cat "$DAGRUN_INPUTS" > "$DAGRUN_OUTPUT"')
    outputs, _ = await execute(options, tmp_path, inputs={"a": [1, "ü"]}, item_index=3)
    assert outputs == {"a": [1, "ü"], "exit_code": 0}


async def test_stdin_of_any_length_is_read(tmp_path):
    text = "x" * 300_000
    _, context = await execute(ShellOptions(command=["wc", "-c"], stdin=text), tmp_path)
    assert context.log.text().strip() == "300000"


async def test_a_failure_tells_the_code_and_the_last_line(tmp_path):
    error = await failure(ShellOptions(code="echo one; echo two >&2; exit 7"), tmp_path)
    assert (error.type, error.message) == ("exit_code", "exit code 7: two")


async def test_a_signal_is_an_error_of_its_own(tmp_path):
    error = await failure(ShellOptions(code="kill -SEGV $$"), tmp_path)
    assert (error.type, error.message) == ("signal", "ended by signal SIGSEGV")


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": NaN}', '{"a": "\\377"}', "null"])
async def test_outputs_that_are_no_json_object_fail(tmp_path, text):
    code = f"printf '{text}' > $DAGRUN_OUTPUT" if "377" in text else f"{WRITE_OUTPUT}"
    error = await failure(ShellOptions(code=code, stdin=text), tmp_path)
    assert error.type == "output"


async def test_an_output_that_is_a_pipe_does_not_block(tmp_path):
    error = await failure(ShellOptions(code="mkfifo $DAGRUN_OUTPUT"), tmp_path)
    assert error.type == "output"


@pytest.mark.parametrize("command", [["no-such-program"], ["/"]])
async def test_a_program_that_cannot_start_is_named(tmp_path, command):
    error = await failure(ShellOptions(command=command), tmp_path)
    assert error.type == "start"
    assert repr(command[0]) in error.message


async def test_a_relative_directory_is_taken_beside_the_document(tmp_path):
    (tmp_path / "doc" / "sub").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    options = ShellOptions(command="pwd", cwd="sub")
    _, context = await execute(options, tmp_path / "scratch", base=tmp_path / "doc")
    assert context.log.text().strip() == str(tmp_path / "doc" / "sub")


@pytest.mark.parametrize(
    ("command", "told"), [(["echo hello"], True), (["echo hello", "x"], False), (["echoo"], False)]
)
async def test_a_command_line_in_one_element_is_told_to_be_a_list(tmp_path, command, told):
    error = await failure(ShellOptions(command=command), tmp_path)
    hint = "; a program and its arguments are the elements of a list"
    assert error.message.endswith(hint) is told


async def test_a_relative_program_is_looked_for_beside_the_document(tmp_path):
    base, scratch = tmp_path / "doc", tmp_path / "scratch"
    base.mkdir()
    scratch.mkdir()
    program = base / "say.sh"
    program.write_text('#!/bin/sh\necho "said $1"\n')
    program.chmod(0o755)
    _, context = await execute(ShellOptions(command=["./say.sh", "it"]), scratch, base=base)
    assert context.log.text() == "said it\n"
    error = await failure(ShellOptions(command=["sub/other.sh"]), scratch, base=base)
    assert (error.type, f"'{base}/sub/other.sh'" in error.message) == ("start", True)


async def test_a_background_child_that_holds_the_log_open_keeps_no_node(tmp_path):
    with trio.fail_after(5):
        await execute(ShellOptions(code="sleep 60 & echo $! > pid"), tmp_path)
    assert not is_running(await written_pid(tmp_path / "pid"))


async def test_a_program_may_end_by_itself_when_it_is_cancelled(tmp_path):
    # It says that it is there after a while, so that the engine surely knows of it: a program
    # whose start was not answered yet is killed at once.
    code = "trap 'echo bye > said; exit 0' TERM; sleep 0.3; echo $$ > pid"
    options = ShellOptions(code=f"{code}; while :; do sleep 0.01; done")
    async with open_processes() as processes:
        context = FakeContext(options=options, scratch=tmp_path, processes=processes, kill_after=9)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ShellExecutor().execute, context)
            await written_pid(tmp_path / "pid")
            nursery.cancel_scope.cancel()
    assert (tmp_path / "said").read_text() == "bye\n"


@pytest.mark.parametrize("options", [{}, {"command": "a", "code": "b"}, {"command": []}])
def test_options_name_exactly_one_thing_to_run(options):
    with pytest.raises(ValueError, match=r"command"):
        ShellOptions(**options)


async def test_children_start_with_default_signals(tmp_path):
    _, context = await execute(ShellOptions(command="grep SigIgn /proc/self/status"), tmp_path)
    ignored = int(context.log.text().split()[1], 16)
    assert not any(ignored >> number - 1 & 1 for number in (signal.SIGINT, signal.SIGPIPE))


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_a_name_that_no_variable_can_have_is_refused(name):
    with pytest.raises(ValueError, match="no name of a variable"):
        ShellOptions(command="true", env={name: "x"})


async def test_what_a_killed_engine_left_is_not_taken_for_the_output_of_the_same_attempt(tmp_path):
    await execute(ShellOptions(code="echo $DAGRUN_OUTPUT > name"), tmp_path)
    (tmp_path / (tmp_path / "name").read_text().strip()).write_text('{"a": 1}')
    outputs, _ = await execute(ShellOptions(command="true"), tmp_path, epoch=2)
    assert outputs == {"exit_code": 0}


async def test_an_output_that_is_a_directory_fails_and_leaves_no_descriptor_open(tmp_path):
    options = ShellOptions(code="mkdir $DAGRUN_OUTPUT")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 — counts
    for _ in range(3):
        assert (await failure(options, tmp_path)).type == "output"
        next(tmp_path.glob("*.output.json")).rmdir()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 — counts


async def test_the_end_of_the_guard_is_told_as_what_it_is(tmp_path):
    async with open_processes() as processes:
        context = FakeContext(
            options=ShellOptions(code="echo $$ > pid; sleep 60"),
            scratch=tmp_path,
            processes=processes,
        )
        async with trio.open_nursery() as nursery:

            async def kill_guard():
                await written_pid(tmp_path / "pid")
                os.kill(processes.statistics().guard, signal.SIGKILL)

            nursery.start_soon(kill_guard)
            with pytest.RaisesGroup(WorkerDied, flatten_subgroups=True):
                async with trio.open_nursery():
                    await ShellExecutor().execute(context)


@pytest.mark.parametrize("options", [{"env": {"A": "a\0b"}}, {"cwd": "a\0b"}, {"command": "\0"}])
def test_a_text_that_no_program_can_be_given_is_refused(options):
    with pytest.raises(ValueError, match="NUL character"):
        ShellOptions(**{"command": "true", **options})


async def test_a_secret_is_in_the_environment_and_no_argument(tmp_path):
    code = "tr '\\0' '\\n' < /proc/$$/cmdline; echo \"$TOKEN\""
    _, context = await execute(
        ShellOptions(code=code, env={"PATH": os.environ["PATH"]}),
        tmp_path,
        secrets={"TOKEN": "hunter2-token"},
        document_env={"TOKEN": "shadowed"},
    )
    assert context.log.text() == f"/bin/sh\n-c\n{code}\nhunter2-token\n"


async def test_stdin_touches_no_disk(tmp_path):
    options = ShellOptions(code="readlink /proc/self/fd/0; cat", stdin="typed in")
    _, context = await execute(options, tmp_path)
    assert context.log.text().startswith("/memfd:stdin")
    assert context.log.text().endswith("\ntyped in")


LONG = "".join(chr(33 + number * 7 % 90) for number in range(150))


@pytest.mark.parametrize(
    ("secret", "code", "said"),
    [
        ("user=admin\npw=7Qx!", 'echo "$S"', "***"),
        (LONG, 'printf %s "$S" | base64', "***"),
        (
            LONG,
            'echo; printf %s "$S$S$S$S$S$S$S$S$S$S$S$S$S$S$S$S$S$S$S$S"; printf " end"',
            "*** end",
        ),
        ("zzzz", f"echo {'a' * 3000}; echo the reason", "the reason"),
        ("hunter22", "echo; printf 'to hunt'", "to hunt"),
    ],
)
async def test_the_last_line_is_taken_from_what_the_mask_lets_through(tmp_path, secret, code, said):
    log = MaskedLog(LogFile(tmp_path / "log"), Masker(Mask([secret])))
    options = ShellOptions(code=f"{code}; exit 1")
    error = await failure(options, tmp_path, secrets={"S": secret}, log=log)
    log.close()
    assert error.message == f"exit code 1: {said}"


async def test_the_end_of_a_long_line_is_told(tmp_path):
    error = await failure(ShellOptions(code=f"printf {'a' * 99}{'z' * 2048}; exit 1"), tmp_path)
    assert error.message == f"exit code 1: {'z' * 2048}"


async def test_of_a_full_log_no_line_is_told_if_it_would_have_to_be_searched(tmp_path):
    options = ShellOptions(code="echo 12345678; exit 1")
    full = LogFile(tmp_path / "log", cap=3)
    assert (await failure(options, tmp_path, log=full)).message == "exit code 1: 12345678"
    full = MaskedLog(LogFile(tmp_path / "other", cap=3), Masker(Mask(["hunter2"])))
    assert (await failure(options, tmp_path, log=full)).message == "exit code 1"


async def test_a_program_may_print_more_than_a_pipe_holds_when_it_is_stopped(tmp_path):
    code = "trap 'head -c 300000 /dev/zero; echo > said; exit 0' TERM; sleep 0.3; echo $$ > pid"
    options = ShellOptions(code=f"{code}; while :; do sleep 0.01; done")
    async with open_processes() as processes:
        context = FakeContext(options=options, scratch=tmp_path, processes=processes, kill_after=9)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ShellExecutor().execute, context)
            await written_pid(tmp_path / "pid")
            nursery.cancel_scope.cancel()
    assert (tmp_path / "said").exists()
    assert context.log.data.count(b"\0") == 300_000


async def test_a_program_that_is_not_started_leaves_no_descriptor_open(tmp_path):
    options = ShellOptions(command="true", stdin="text", cwd="sub")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 — counts
    with pytest.raises(TypeError):
        await ShellExecutor().execute(FakeContext(options=options, scratch=tmp_path, base=5))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 — counts

"""A program that does not do what a test waits for fails the test, and does not hold it up."""

import pytest

from dagrun.testing.programs import on_terminal, until

SILENT = (
    "import sys, time; print('first'); print('half', end='', flush=True);"
    " print('why', file=sys.stderr, flush=True); time.sleep(60)"
)


@pytest.mark.parametrize(
    "wait",
    [
        lambda program: program.read_line(limit=0.5),
        lambda program: program.wait(timeout=0.5),
        lambda program: program.communicate(timeout=0.5),
    ],
    ids=["read_line", "wait", "communicate"],
)
def test_a_program_that_is_waited_for_in_vain_is_killed_and_what_it_printed_is_told(launch, wait):
    program = launch("-c", SILENT)
    assert program.read_line() == "first"
    with pytest.raises(AssertionError, match=r"within 0\.5 s\nhalf\nwhy\n"):
        wait(program)
    assert program.returncode == -9


def test_a_program_that_ends_without_a_line_says_why(launch):
    program = launch("-c", "import sys; sys.exit('no such thing')")
    with pytest.raises(AssertionError, match=r"no line before its end\n\nno such thing\n"):
        program.read_line()


def test_reading_a_line_leaves_the_rest_to_be_read(launch):
    program = launch("-c", "print('one'); print('two'); print('three'); print('four')")
    program.read_past("two")
    assert program.communicate() == ("three\nfour\n", "")


def test_what_never_happens_is_waited_for_up_to_the_limit():
    with pytest.raises(AssertionError, match=r"did not happen within 0\.1 s"):
        until(lambda: False, limit=0.1)


def test_a_command_on_a_terminal_writes_there_and_gives_its_exit_code(tmp_path):
    done = on_terminal("runs", "show", "0none", folder=tmp_path)
    assert done.returncode == 2
    assert "there is no run" in done.stdout

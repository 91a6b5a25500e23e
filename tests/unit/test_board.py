"""What the progress display says."""

import re
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
import trio
from rich.console import Console

from dagrun.cli.board import Board, event_note, interesting
from dagrun.cli.progress import PlainLines, headline, picture, plain_line
from dagrun.domain import decide
from dagrun.domain.rerun import retry
from dagrun.domain.result import run_result
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.domain.workflow import ExecutorSpec, Handler, RetryPolicy
from dagrun.testing.drive import Driver, make_node, make_plan, replayed
from dagrun.testing.programs import on_terminal


def watch(*nodes, steps=lambda _: None):
    driver = Driver(make_plan(*nodes)).begin()
    steps(driver)
    board = Board(driver.state.plan.workflow)
    board.see(driver.journal)
    return board


def test_a_board_follows_a_run_to_its_end():
    board = watch(make_node("a"), make_node("b", "a"), steps=lambda run: run.fail("a"))
    assert board.status is RunStatus.FAILED
    assert board.finished_at is not None
    assert plain_line(board, board.rows["a"]) == "✗ a  failed  1.00s  boom: it failed"
    assert plain_line(board, board.rows["b"]) == "– b  skipped  dependency a failed"
    assert board.summary() == "1 failed, 1 skipped"


def test_attempts_and_items_are_counted():
    def steps(run):
        run.fail("a").wake().succeed("a")
        run.succeed("b", {}, 0)

    retry = RetryPolicy(max_attempts=2, first_delay=1, jitter=0)
    board = watch(make_node("a", retry=retry), make_node("b", for_each=(1, 2)), steps=steps)
    assert board.rows["a"].detail() == "attempt 2"
    assert board.rows["a"].note == ""
    assert board.rows["b"].detail() == "1 of 2 items"
    assert board.rows["b"].status is NodeStatus.RUNNING


def test_items_are_told_of_in_the_same_words_whichever_ended_first():
    node = make_node("a", for_each=(1, 2, 3), tolerate=1)
    one_first = watch(node, steps=lambda run: run.succeed("a", {}, 0).fail("a", 1))
    two_first = watch(node, steps=lambda run: run.fail("a", 1).succeed("a", {}, 0))
    assert one_first.rows["a"].detail() == two_first.rows["a"].detail() == "2 of 3 items, 1 failed"


def test_items_that_a_queued_retry_keeps_are_counted_and_their_node_does_not_run():
    first = Driver(make_plan(make_node("a", for_each=(1, 2)))).begin()
    first.succeed("a", {}, 0).fail("a", 1)
    queued = Driver(first.state.plan, again=retry(first.state)).take()
    board = Board(first.state.plan.workflow)
    board.see(queued.journal)
    row = board.rows["a"]
    assert (board.status, row.status, row.detail()) == ("queued", "ready", "1 of 2 items")
    assert row.started_at is None


def test_a_list_of_items_that_is_empty_is_told_of_and_other_nodes_have_none():
    board = watch(make_node("a", for_each=()), make_node("b"), steps=lambda run: run.succeed("b"))
    assert [row.detail() for row in board.rows.values()] == ["0 of 0 items", ""]
    assert plain_line(board, board.rows["a"]).endswith("succeeded  0 of 0 items")


def test_the_tree_tells_how_far_the_items_are():
    node = make_node("a", for_each=(1, 2, 3), tolerate=1)
    board = watch(node, steps=lambda run: run.succeed("a", {}, 0).fail("a", 1))
    console = Console(file=StringIO(), width=80)
    console.print(picture(board, "r", height=9))
    assert "● a  running" in console.file.getvalue()
    assert "2 of 3 items, 1 failed" in console.file.getvalue()


async def test_plain_lines_tell_now_and_then_how_far_the_items_are(capsys, autojump_clock):
    driver = Driver(make_plan(make_node("a", for_each=(1, 2, 3), tolerate=1))).begin()
    board = Board(driver.state.plan.workflow)
    lines, seen = PlainLines(board, "r"), 0

    def go_on(step):
        nonlocal seen
        step()
        lines.see(driver.journal[seen:])
        seen = len(driver.journal)

    async with trio.open_nursery() as nursery:
        await nursery.start(lines.run)
        go_on(lambda: driver.succeed("a", {}, 0))
        await trio.sleep(29)
        assert "items" not in capsys.readouterr().err
        await trio.sleep(2)
        assert capsys.readouterr().err.endswith("1 of 3 items\n")
        await trio.sleep(60)
        assert capsys.readouterr().err == ""
        go_on(lambda: driver.fail("a", 1))
        await trio.sleep(30)
        assert "2 of 3 items, 1 failed" in capsys.readouterr().err
        nursery.cancel_scope.cancel()


def test_what_was_wrong_with_an_attempt_is_gone_when_the_next_one_starts():
    retry = RetryPolicy(max_attempts=3, first_delay=1, jitter=0)
    failed = watch(make_node("a", retry=retry), steps=lambda run: run.fail("a"))
    assert failed.rows["a"].note == "boom: it failed; again in 1.00s"
    again = watch(make_node("a", retry=retry), steps=lambda run: run.fail("a").wake())
    assert (again.rows["a"].status, again.rows["a"].note) == (NodeStatus.RUNNING, "")


def test_what_was_wrong_with_an_item_is_gone_when_that_item_is_tried_again():
    def steps(run):
        run.fail("a", 0)
        board.see(run.journal)
        assert board.rows["a"].note == "boom: it failed; again in 1.00s"
        for step, note in ((lambda: run.succeed("a", {}, 1), board.rows["a"].note), (run.wake, "")):
            seen = len(run.journal)
            step()
            board.see(run.journal[seen:])
            assert board.rows["a"].note == note

    retry = RetryPolicy(max_attempts=2, first_delay=1, jitter=0)
    driver = Driver(
        make_plan(make_node("a", for_each=(1, 2, 3), max_parallel=2, retry=retry))
    ).begin()
    board = Board(driver.state.plan.workflow)
    steps(driver)


def test_nodes_that_stand_in_line_are_ready_and_others_wait():
    nodes = make_node("a"), make_node("b"), make_node("c", "a"), make_node("d", "a", "b")
    driver = Driver(make_plan(*nodes))
    decide.begin(driver.state, driver.tick(), epoch=1, engine="e")  # and nothing starts

    def statuses():
        board = Board(driver.state.plan.workflow)
        board.see([*driver.journal, *driver.state.outbox])
        shown = {row.node_id: str(row.status) for row in board.rows.values()}
        told = {node.id: str(node.status) for node in run_result(driver.state).nodes}
        assert shown == told
        return shown

    assert statuses() == {"a": "ready", "b": "ready", "c": "pending", "d": "pending"}
    driver.take().succeed("a")
    assert statuses() == {"a": "succeeded", "b": "running", "c": "running", "d": "pending"}
    driver.ask(decide.pause)
    driver.succeed("b")
    assert statuses() == {"a": "succeeded", "b": "succeeded", "c": "running", "d": "pending"}
    assert decide.resume(driver.state, driver.tick())
    assert statuses()["d"] == "ready"


def test_a_run_that_is_paused_as_poison_says_so_and_nothing_of_it_runs():
    run = Driver(make_plan(make_node("a"), make_node("c", for_each=(1, 2)))).begin()
    for _ in range(3):
        run = Driver(run.state.plan, events=run.journal).begin(lost=True)
    board = Board(run.state.plan.workflow)
    board.see(run.journal)
    assert headline(board).startswith("w 1.0.0  paused (poison)")
    again = "runs again when the run is resumed"
    assert [plain_line(board, row) for row in board.rows.values()] == [
        f"■ a  cut-off  {again}",
        f"■ c  cut-off  0 of 2 items  {again}",
    ]
    assert event_note(run.journal[-1]) == "poison: a, c"
    seen = len(run.journal)
    run.ask(decide.resume)
    board.see(run.journal[seen:])
    assert headline(board).startswith("w 1.0.0  running")
    assert plain_line(board, board.rows["a"]).startswith("● a  running")


def test_what_was_cut_off_of_a_paused_run_and_is_not_to_run_twice_is_said_to_fail():
    run = Driver(make_plan(make_node("b", on_engine_loss="fail"))).begin()
    run.ask(partial(decide.pause, epoch=2))
    board = Board(run.state.plan.workflow)
    board.see(run.journal)
    assert headline(board).startswith("w 1.0.0  paused  ")
    assert plain_line(board, board.rows["b"]) == "■ b  cut-off  fails when the run is resumed"


def test_what_runs_on_while_a_run_is_paused_runs():
    board = watch(make_node("a"), steps=lambda run: run.ask(decide.pause))
    assert plain_line(board, board.rows["a"]).startswith("● a  running")


def test_a_node_that_another_process_has_in_line_is_ready():
    driver = Driver(make_plan(make_node("a"))).begin()
    state = replayed(Driver(driver.state.plan, events=driver.journal[:2]))
    assert [node.status for node in run_result(state).nodes] == [NodeStatus.READY]


def test_a_picture_has_no_more_lines_than_there_is_room_for():
    wrong = [make_node(f"bad{number}") for number in range(60)]
    driver = Driver(make_plan(*wrong, make_node("slow"))).begin()
    for number in range(60):
        work = driver.find(f"bad{number}")
        driver.going.remove(work)
        error = {"type": "boom", "message": "this is wrong with it, and more is\n" * 100}
        decide.fail(driver.state, work, error, driver.tick(), draw=0.5, retryable=False)
    driver.take()
    board = Board(driver.state.plan.workflow)
    board.see(driver.journal)
    for width, height in ((80, 24), (30, 6), (500, 100)):
        console = Console(width=width, height=height, file=StringIO())
        console.print(picture(board, "r", height))
        lines = console.file.getvalue().splitlines()
        assert len(lines) < height
        assert all(len(line) <= width for line in lines)
        assert any("slow  running" in line for line in lines)
        assert ("… 61 nodes: 1 running, 60" in lines[-1]) is (height < 100)


def test_when_not_all_rows_fit_those_that_run_or_failed_are_shown_in_order():
    def steps(run):
        for number in (1, 3, 5):
            run.succeed(f"n{number}")
        run.fail("n4")

    board = watch(*[make_node(f"n{number}") for number in range(9)], steps=steps)
    shown = [row.node_id for row in interesting(list(board.rows.values()), 6)]
    assert shown == ["n0", "n2", "n4", "n6", "n7", "n8"]
    assert len(interesting(list(board.rows.values()), 20)) == 9


DOCUMENT = """
apiVersion: dagrun/v1
kind: Workflow
metadata: {id: shown, version: 1.0.0}
spec:
  nodes:
    - {id: alpha, executor: {type: lua, code: "return {}"}}
    - {id: beta, dependencies: [alpha], when: "false", executor: {type: lua, code: "return {}"}}
"""


@pytest.mark.parametrize("name", ["dumb", "unknown", ""])
def test_on_a_terminal_that_cannot_be_drawn_on_there_are_plain_lines(tmp_path, name):
    file = tmp_path / "shown.yaml"
    file.write_text(DOCUMENT)
    text = run_in_terminal("run", file, folder=tmp_path, TERM=name)
    assert re.match(r"run \w+: shown 1\.0\.0\r\n  ✓ alpha  succeeded", text)


def test_on_a_terminal_a_tree_shows_nodes_with_state_and_time(tmp_path):
    file = tmp_path / "shown.yaml"
    file.write_text(DOCUMENT)
    text = run_in_terminal("run", file, folder=tmp_path)
    assert "shown 1.0.0  succeeded" in text
    assert "✓ alpha  succeeded" in text
    assert "– beta  skipped" in text
    assert "when: false" in text


def run_in_terminal(*arguments: object, folder: Path, **environment: str) -> str:
    """Run a command to its end, and give what it showed, without colours."""
    done = on_terminal(*arguments, folder=folder, **environment)
    assert done.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout)


def test_nodes_that_never_began_are_shown_as_cancelled_with_their_run():
    def cancel(run):
        run.ask(decide.cancel)
        run.stop("a")

    board = watch(make_node("a"), make_node("b", "a"), steps=cancel)
    assert board.status is RunStatus.CANCELLED
    assert plain_line(board, board.rows["b"]) == "■ b  cancelled"


def test_handlers_have_rows_from_the_moment_that_the_outcome_is_decided():
    handler = Handler(executor=ExecutorSpec(type="none"))
    plan = make_plan(
        make_node("a"), make_node("b", "a"), handlers={"exit": handler, "failure": handler}
    )
    driver, board = Driver(plan).begin(), Board(plan.workflow)
    board.see(driver.journal)
    assert list(board.rows) == ["a", "b"]
    driver.ask(decide.cancel, reason=decide.TIMEOUT)
    driver.stop("a")
    seen = len(driver.journal)
    board.see(driver.journal[3:])
    assert list(board.rows) == ["a", "b", "handler:failure", "handler:exit"]
    assert headline(board).startswith("w 1.0.0  ending (failed)  ")
    assert board.summary() == "1 pending, 1 running, 2 cancelled"
    driver.fail("handler:failure").succeed("handler:exit")
    board.see(driver.journal[seen:])
    assert (
        plain_line(board, board.rows["handler:failure"])
        == "✗ handler:failure  failed  1.00s  boom: it failed"
    )
    assert plain_line(board, board.rows["handler:exit"]) == "✓ handler:exit  succeeded  1.00s"
    assert headline(board).startswith("w 1.0.0  failed  ")


def test_on_a_terminal_handlers_stand_behind_the_nodes(tmp_path):
    file = tmp_path / "shown.yaml"
    code = '{executor: {type: lua, code: "return {}"}}'
    file.write_text(DOCUMENT + f"  handlers: {{success: {code}, failure: {code}}}\n")
    text = run_in_terminal("run", file, folder=tmp_path)
    assert "✓ handler:success  succeeded" in text
    assert text.rindex("handler:success") > text.rindex("– beta")
    assert "handler:failure" not in text

"""The suites that plugin authors inherit find what they are there to find."""

import signal
import threading
import time
from pathlib import Path

import attrs
import pytest
import trio

from dagrun.errors import NodeError
from dagrun.testing import executors, subscribers
from dagrun.testing.context import FakeContext, open_context, options_of
from dagrun.testing.executors import ExecutorSuite
from dagrun.testing.limits import within
from dagrun.testing.programs import call
from dagrun.testing.subscribers import SubscriberSuite
from dagrun.testing.triggers import TriggerSuite


@attrs.frozen(kw_only=True)
class Options:
    how: str = "well"
    folder: Path | None = None


class Worker:
    """Does all sorts of things wrong."""

    options = Options

    def __init__(self):
        self.released = threading.Event()

    async def execute(self, context):
        await trio.lowlevel.checkpoint()
        match context.options.how:
            case "leaves a thread":
                await trio.to_thread.run_sync(self.released.wait, 60, abandon_on_cancel=True)
            case "spins":
                await trio.to_thread.run_sync(self.spin, limiter=trio.CapacityLimiter(1), **ABANDON)
            case "hangs":
                await trio.sleep_forever()
            case "hides it":
                try:
                    await trio.sleep_forever()
                except trio.Cancelled as error:
                    raise NodeError("stopped", "somebody stopped it") from error
        return {"answer": 42}

    def spin(self):
        while not self.released.is_set():
            sum(range(1000))


ABANDON = {"abandon_on_cancel": True}


class Suite(ExecutorSuite):
    def __init__(self, how="well", **options):
        self.worker = Worker()
        self.given = options
        self.how = how

    def executor(self):
        return self.worker

    def gives(self):
        return Options(**self.given)

    def works(self):
        return Options(how=self.how)


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("leaves a thread", "a thread goes on"),
        ("spins", r"< \(0\.5 / 10\)"),
        ("well", "it ended early"),
    ],
)
async def test_work_that_goes_on_after_a_cancel_is_found(tmp_path, how, complaint):
    suite = Suite(how)
    with pytest.raises(AssertionError, match=complaint):
        await suite.test_cancelling_stops_work_inside_the_process(tmp_path, 0.1)
    suite.worker.released.set()


async def test_a_cancel_that_is_turned_into_a_failure_is_found(tmp_path):
    with pytest.raises(NodeError, match="somebody stopped it"):
        await Suite("hides it").test_cancelling_stops_work_inside_the_process(tmp_path, 0.1)


async def test_options_that_no_document_can_hold_are_found():
    await Suite().test_the_options_can_be_written_in_a_document()
    with pytest.raises(Exception, match="PosixPath is not JSON"):
        await Suite(folder=Path("/x")).test_the_options_can_be_written_in_a_document()


@pytest.mark.parametrize(
    ("name", "value"), [("settings", ("paralel",)), ("durability", "strict"), ("options", str)]
)
async def test_class_attributes_of_a_wrong_kind_are_found(monkeypatch, name, value):
    await Suite().test_the_class_says_what_it_needs()
    monkeypatch.setattr(Worker, name, value, raising=False)
    with pytest.raises(AssertionError):
        await Suite().test_the_class_says_what_it_needs()


async def test_what_an_executor_is_not_told_to_do_is_skipped(tmp_path):
    suite = Suite()
    for test in (
        suite.test_a_failure_is_typed,
        suite.test_what_is_printed_arrives_in_the_log,
        suite.test_cancelling_stops_the_work_and_leaves_no_process,
        suite.test_outputs_over_the_limit_fail,
        suite.test_secrets_arrive,
    ):
        with pytest.raises(pytest.skip.Exception, match="it is not said how the executor is told"):
            await test(tmp_path)


async def test_an_executor_that_hangs_fails_its_test(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "WHOLE", 0.05)
    suite = Suite()
    suite.gives = lambda: Options(how="hangs")
    with pytest.raises(trio.TooSlowError):
        await suite.test_outputs_are_given(tmp_path)


def spin_for_ever():
    while True:
        pass


def test_what_never_lets_go_of_the_processor_fails_too():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(pytest.fail.Exception, match=r"takes more than 0\.05 s"), within(0.05):
        spin_for_ever()
    assert signal.getsignal(signal.SIGALRM) is before
    with within(5):
        pass


def test_a_timer_that_was_set_before_goes_on():
    earlier, left = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 100, 7)
    try:
        with within(5):
            assert signal.getitimer(signal.ITIMER_REAL)[0] <= 5
        rest, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 90 < rest <= 100
        assert interval == 7
        assert signal.getsignal(signal.SIGALRM) is earlier
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)


class Mute:
    """A trigger that checks nothing."""

    def check(self, options):
        return {}


class MuteSuite(TriggerSuite):
    def make_kind(self):
        return Mute()

    def right(self):
        return [{"at": "noon"}]

    def wrong(self):
        return [({"at": "never"}, "at")]


def test_a_trigger_that_lets_wrong_options_pass_is_found():
    MuteSuite().test_options_that_are_right_get_no_complaint()
    with pytest.raises(AssertionError):
        MuteSuite().test_what_is_wrong_is_told_under_the_name_of_its_option()


def test_options_are_refused_in_the_words_of_validate():
    assert options_of(Worker, how="badly").how == "badly"
    with pytest.raises(ValueError, match="hwo: the key 'hwo' is not known here"):
        options_of(Worker, hwo="badly")


async def test_a_context_starts_processes_only_when_it_was_made_for_it(tmp_path):
    arguments = {"env": {"PATH": "/usr/bin:/bin"}, "cwd": str(tmp_path)}
    with pytest.raises(AssertionError, match="open_context"):
        await FakeContext(options=None, scratch=tmp_path).processes.spawn(["true"], **arguments)
    async with open_context(None, tmp_path, node_id="n") as context:
        process = await context.processes.spawn(["true"], **arguments)
        assert await process.wait() == 0
        assert context.node_id == "n"


HANGING = """
import functools

import trio
from dagrun.builtin.memory_store import MemoryStore
from dagrun.ports.balancer import Balancer
from dagrun.testing import balancers, limits
from dagrun.testing.stores import suite as stores

stores.WHOLE = 0.2
balancers.within = functools.partial(limits.within, 0.2)


class Sleeper(MemoryStore):
    async def commit(self, events):
        await trio.sleep_forever()


class TestSleeper(stores.StoreSuite):
    def make_store(self, folder):
        return Sleeper()


class Spinner(Balancer):
    def choose(self, key, candidates):
        while True:
            pass


class TestSpinner(balancers.BalancerSuite):
    def make_balancer(self):
        return Spinner()
"""


def test_stores_and_balancers_that_hang_fail_their_tests(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    (tmp_path / "test_hanging.py").write_text(HANGING)
    chosen = "empty_commit or only_candidate"
    done = call("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, folder=tmp_path)
    assert done.stdout.count("the test takes more than 0.2 s") >= 2
    assert "2 failed" in done.stdout


OUTSIDE = """
from dagrun.builtin.memory_store import MemoryStore
from dagrun.ports.balancer import Balancer
from dagrun.testing.balancers import BalancerSuite
from dagrun.testing.stores import StoreSuite


class Stubborn(Balancer):
    def choose(self, key, candidates):
        return "engine-0"


class TestStubborn(BalancerSuite):
    def make_balancer(self):
        return Stubborn()


class TestStore(StoreSuite):
    def make_store(self, folder):
        return MemoryStore()
"""


def test_a_suite_in_a_folder_of_its_own_tells_what_it_compared(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    (tmp_path / "test_outside.py").write_text(OUTSIDE)
    done = call("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path)
    assert "assert 'engine-0' == 'engine-1'" in done.stdout
    assert "TestStubborn::test_the_only_candidate_is_chosen" in done.stdout
    assert "TestStore" not in done.stdout.partition("short test summary")[2]
    assert done.returncode == 1


class Careless:
    """A subscriber that does one thing wrong."""

    def __init__(self, place, wrong):
        self.place, self.wrong = place, wrong

    async def __aenter__(self):
        if self.wrong == "begins anew":
            self.place.clear()
        if self.wrong == "leaves a thread":
            threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
        return self

    async def __aexit__(self, *_):
        await trio.lowlevel.checkpoint()

    async def handle(self, events):
        match self.wrong:
            case "blocks":
                time.sleep(0.6)  # noqa: ASYNC251 — that is what is wrong
            case "stays":
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.8)
            case "changes":
                for event in events:
                    event.data["told"] = True
            case "fails":
                raise LookupError(events[0].type)
        ids = [event.id for event in events]
        self.place += {"turns": ids[::-1], "forgets": ids[:1]}.get(self.wrong, ids)


class CarelessSuite(SubscriberSuite):
    def __init__(self, wrong):
        self.wrong, self.place = wrong, []

    def make_subscriber(self):
        return Careless(self.place, self.wrong)

    async def told(self):
        return self.place


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ("fails", "events_of_all_types_arrive"),
        ("turns", "events_that_come_together_arrive_in_their_order"),
        ("forgets", "events_that_come_together_arrive_in_their_order"),
        ("begins anew", "what_was_told_before_is_still_there_behind_another_start"),
        ("changes", "events_stay_as_they_are"),
        ("blocks", "nobody_is_held_up_by_it"),
        ("stays", "a_call_that_is_cancelled_returns_soon"),
        ("leaves a thread", "no_thread_of_it_goes_on_when_it_is_closed"),
    ],
)
async def test_what_a_subscriber_does_wrong_is_found(monkeypatch, wrong, name):
    monkeypatch.setattr(subscribers, "LIMIT", 0.5 if wrong == "stays" else 10)
    await getattr(CarelessSuite("nothing"), f"test_{name}")()
    with pytest.raises((AssertionError, LookupError, trio.TooSlowError)):
        await getattr(CarelessSuite(wrong), f"test_{name}")()

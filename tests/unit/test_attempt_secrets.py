"""An attempt is given its secrets late, and nothing that comes out of it shows them."""

import json

import pytest
import trio

from dagrun.domain.document.catalogue import structure_options
from dagrun.domain.jsonvalue import decode, encode
from dagrun.domain.plan import Handling, compile_plan
from dagrun.domain.templates import SECRETS
from dagrun.domain.workflow import ExecutorSpec, Handler, Workflow
from dagrun.errors import NodeError, SecretError
from dagrun.plugin.registry import Registry
from dagrun.services.attachment.shipping import Shipping
from dagrun.services.engine.attempts import Failure, Workshop, make_attempt
from dagrun.services.engine.scratch_space import ScratchSpace
from dagrun.services.engine.vault import Earlier
from dagrun.services.node_logs import LogFile, NodeLogs
from dagrun.services.plans import handling
from dagrun.testing.drive import Driver, make_node, make_plan, make_workflow

KEY = 'hunter"2-for-é'
HANDLING = Handling(strict=False, limited=False, secret_options=frozenset({"header", "size"}))


class Provider:
    """Gives what the test says."""

    def __init__(self):
        self.values = {"key": KEY}
        self.asked = []

    async def get(self, reference):
        self.asked.append(reference)
        value = self.values.get(reference, SecretError("there is none"))
        if isinstance(value, BaseException):
            raise value
        if isinstance(value, float):
            await trio.sleep(value)
        return value


class Executor:
    """Does what the test says."""

    async def execute(self, context):
        return await self.act(context)


class Shop:
    """Makes attempts of one node."""

    def __init__(self, folder, logs=None):
        self.provider, self.executor = Provider(), Executor()
        self.logs = logs or NodeLogs(folder)
        self.workshop = Workshop(
            executors={"x": self.executor},
            structure=self.structure,
            processes=None,
            logs=self.logs,
            scratch=ScratchSpace(folder),
            providers={"test": self.provider},
        )
        self.schema = None

    def structure(self, _, options):
        return structure_options(self.schema, options)

    def driver(self, *, secrets=None, options=None, inputs=None, **fields):
        spec = ExecutorSpec(type="x", options=options or {})
        secrets = {"KEY": "test:key"} if secrets is None else secrets
        node = make_node("a", executor=spec, secrets=secrets, **fields)
        return Driver(make_plan(node, handling=HANDLING), inputs).begin()

    async def attempt(self, act, **node):
        async def maybe_async(context):
            result = act(context)
            return await result if hasattr(result, "__await__") else result

        self.executor.act = maybe_async
        driver = self.driver(**node)
        return await make_attempt(self.workshop, driver.state, driver.find("a"))

    def log(self):
        return self.logs.read("r", "a", 1).decode()


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def fail(error):
    raise error


async def test_an_executor_is_given_names_and_values(shop):
    seen = []
    shop.provider.values["other"] = "another value"
    await shop.attempt(
        lambda context: seen.append(dict(context.secrets)) or {},
        secrets={"KEY": "test:key", "OTHER": "test:other"},
    )
    assert seen == [{"KEY": KEY, "OTHER": "another value"}]


async def test_a_secret_is_looked_up_for_each_attempt(shop):
    seen = []
    for value in ("old value", "new value"):
        shop.provider.values["key"] = value
        await shop.attempt(lambda context: seen.append(context.secrets["KEY"]) or {})
    assert seen == ["old value", "new value"]


async def test_a_value_that_has_changed_stays_hidden_while_the_run_goes_on(shop):
    driver = shop.driver()
    for number in range(4):
        shop.provider.values["key"] = f"value-number-{number}"
        shop.executor.act = lambda _: say({"all": [f"value-number-{n}" for n in range(4)]})
        outcome = await make_attempt(shop.workshop, driver.state, driver.find("a"))
        shown = decode(outcome)["all"]
        assert shown == ["***"] * (number + 1) + [f"value-number-{n}" for n in range(number + 1, 4)]
    assert "value-number" not in str(driver.state.cache)


async def test_a_secret_that_is_new_for_each_attempt_does_not_grow_the_mask():
    earlier = Earlier()
    for number in range(20):
        assert len(earlier.note("test:key", f"value-{number}")) <= 4
    assert earlier.note("test:key", "value-19")[-1] == "value-19"


async def test_large_outputs_are_searched_beside_the_loop(shop):
    outputs = {"rows": [f"{KEY} {number}" for number in range(10_000)]}
    outcome = await shop.attempt(lambda _: outputs)
    assert decode(outcome) == {"rows": [f"*** {number}" for number in range(10_000)]}


async def say(outputs):
    return outputs


async def test_a_node_beats_the_workflow_with_a_secret_of_the_same_name(shop):
    workflow = Workflow(
        "w",
        "1.0.0",
        nodes=[make_node("a", secrets={"KEY": "test:own"}), make_node("b")],
        secrets={"KEY": "test:shared", "OTHER": "test:other"},
    )
    plan = make_plan(*workflow.nodes, secrets=workflow.secrets)
    assert plan.by_id["a"].secrets == {"KEY": "test:own", "OTHER": "test:other"}
    assert plan.by_id["b"].secrets == workflow.secrets


async def test_a_missing_secret_fails_the_node_and_names_its_source(shop):
    outcome = await shop.attempt(lambda _: {}, secrets={"KEY": "test:none"})
    message = "the secret KEY (test:none) cannot be used: there is none"
    assert outcome == Failure("secret", message)
    assert outcome.retryable


@pytest.mark.parametrize(
    "error", [ValueError(KEY), ExceptionGroup("", [OSError(KEY)]), KeyError(KEY)]
)
async def test_what_else_a_provider_raises_is_not_quoted(shop, error):
    shop.provider.values["key"] = error
    outcome = await shop.attempt(lambda _: {})
    assert outcome.type == "secret"
    assert "the provider failed with " in outcome.message
    assert "hunter" not in outcome.message


@pytest.mark.parametrize("value", ["abc", "nul\0nul", "x\n" * 300, "\udc80abcd"])
async def test_a_value_that_could_not_be_hidden_is_not_handed_out(shop, value):
    shop.provider.values["key"] = value
    outcome = await shop.attempt(lambda _: pytest.fail("it was called"))
    assert outcome.type == "secret"


async def test_looking_up_counts_as_time_of_the_attempt(shop, autojump_clock):
    shop.provider.values["key"] = 60.0
    outcome = await shop.attempt(lambda _: {}, timeout=5)
    assert outcome.type == "timeout"
    assert trio.current_time() == pytest.approx(5)


async def test_a_log_shows_no_secret_that_came_in_pieces_and_all_else_at_the_end(shop):
    seen = []

    def act(context):
        for piece in ("key=hun", 'ter"2-f', "or-", "é\n", json.dumps(KEY), "\nhunter"):
            context.log.write(piece.encode())
            seen.append(shop.log())
        return {}

    await shop.attempt(act)
    whole = 'key=***\n"***"\n'
    assert seen == ["key=", "key=", "key=", "key=***\n", whole[:-1], whole]
    assert shop.log() == whole + "hunter"


async def test_a_log_is_flushed_although_the_node_fails(shop):
    await shop.attempt(lambda context: (context.log.write(b"hunt"), fail(LookupError("x"))))
    assert shop.log() == "hunt"


async def test_a_log_that_is_full_is_not_searched_any_more(tmp_path):
    shop = Shop(tmp_path)
    shop.workshop.logs._cap = 10

    held = []

    def act(context):
        context.log.write(b"x" * 11)
        context.log.write(b"hunter")
        held.append(context.log._masker.held)
        return {}

    await shop.attempt(act)
    assert held == [0]
    assert shop.log().startswith("xxxxxxxxxx\n[dagrun: log cut")


@pytest.mark.parametrize(
    "error",
    [
        NodeError("boom", f"it was {KEY}"),
        NodeError(KEY, "as told"),
        ValueError(json.dumps({"key": KEY})),
        type(f"Error{KEY}", (Exception,), {})("as told"),
        SystemExit(KEY),
        BaseExceptionGroup("", [SystemExit(KEY), ValueError(KEY)]),
        KeyError(KEY),
    ],
)
async def test_no_error_shows_a_secret(shop, error):
    outcome = await shop.attempt(lambda _: fail(error))
    assert "***" in outcome.type + outcome.message
    assert "hunter" not in outcome.type + outcome.message


async def test_an_attempt_that_fails_while_it_is_stopped_shows_no_secret(shop):
    async def act(_):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise NodeError("boom", KEY)

    with trio.CancelScope() as scope:
        scope.cancel()
        outcome = await shop.attempt(act)
    assert outcome == Failure("boom", "***")


async def test_an_attempt_that_is_only_stopped_stays_stopped(shop):
    async def act(_):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)

    with trio.move_on_after(0.01) as scope:
        await shop.attempt(act)
    assert scope.cancelled_caught


@pytest.mark.parametrize("wrap", [lambda outputs: outputs, encode], ids=["mapping", "text"])
async def test_no_output_shows_a_secret(shop, wrap):
    outputs = {KEY: [KEY, {"nested": json.dumps([KEY])}], "n": 1}
    outcome = await shop.attempt(lambda _: wrap(outputs))
    assert decode(outcome) == {"***": ["***", {"nested": '["***"]'}], "n": 1}


async def test_a_long_secret_is_hidden_like_a_short_one(shop):
    shop.provider.values["key"] = "\n".join(f"line number {n} of a key" for n in range(200))
    outcome = await shop.attempt(lambda context: {"key": context.secrets["KEY"]})
    assert decode(outcome) == {"key": "***"}


async def test_outputs_in_which_a_secret_cannot_be_hidden_fail_the_node(shop):
    shop.provider.values["key"] = 'one","two'
    outcome = await shop.attempt(lambda _: {"list": ["one", "two"]})
    assert outcome.type == "secret"
    assert "spread over several" in outcome.message


async def test_an_option_may_name_secrets(shop):
    seen = []
    options = {"header": "Bearer $secret{KEY} ${inputs.n} $$secret{KEY}", "other": "x"}
    await shop.attempt(
        lambda context: seen.append(dict(context.options)) or {}, options=options, inputs={"n": 1}
    )
    assert seen == [{"header": f"Bearer {KEY} 1 $secret{{KEY}}", "other": "x"}]


async def test_what_is_filled_in_names_no_secret(shop):
    seen = []
    await shop.attempt(
        lambda context: seen.append(context.options["header"]) or {},
        options={"header": "${inputs.text} $secret{KEY}"},
        inputs={"text": "$secret{KEY}"},
    )
    assert seen == [f"$secret{{KEY}} {KEY}"]


async def test_options_that_name_secrets_are_not_kept(shop):
    states = []
    await shop.attempt(
        lambda context: states.append(context._state) or {}, options={"header": "$secret{KEY}"}
    )
    assert states[0].plan.by_id["a"].prepared is None
    assert "hunter" not in str(states[0].cache)


@pytest.mark.parametrize("key", [KEY, "x" * 300, "4711-and-more"])
async def test_wrong_options_are_told_without_any_part_of_a_secret(shop, key):
    shop.provider.values["key"] = key
    shop.schema = {"properties": {"size": {"type": "string", "maxLength": 2}}}
    outcome = await shop.attempt(lambda _: {}, options={"size": "$secret{KEY}"})
    assert (outcome.type, outcome.retryable) == ("options", False)
    assert outcome.message == "size: '***' is too long"
    shop.schema = {"properties": {"size": {"pattern": r"^\*+$"}}}
    outcome = await shop.attempt(lambda _: {}, options={"size": "$secret{KEY}"})
    assert outcome.message == "they do not fit with the secrets filled in"


async def test_a_node_without_secrets_asks_nobody_and_writes_to_its_log_itself(shop):
    seen = []
    await shop.attempt(
        lambda context: seen.extend([context.log, context.secrets]) or {}, secrets={}
    )
    assert type(seen[0]) is LogFile
    assert seen[1] == {}
    assert shop.provider.asked == []


def test_a_run_can_be_shown_although_its_executor_is_gone():
    spec = ExecutorSpec(type="gone", options={"headers": {"A": "$secret{KEY}"}, "code": "x"})
    workflow = make_workflow(make_node("a", executor=spec), secrets={"KEY": "test:key"})
    plan = compile_plan(workflow, handling(Registry()))
    assert plan.by_id["a"].secret_options.render({SECRETS: {"KEY": "v"}}) == {"headers": {"A": "v"}}


def test_handlers_are_given_the_secrets_of_the_workflow():
    spec = ExecutorSpec(type="x", options={"header": "$secret{KEY} ${run.status}"})
    plan = make_plan(
        make_node("a", secrets={"OWN": "test:own"}),
        handling=HANDLING,
        secrets={"KEY": "test:key"},
        handlers={"exit": Handler(executor=spec)},
    )
    (handler,) = plan.handlers
    assert handler.secrets == {"KEY": "test:key"}
    scope = {SECRETS: {"KEY": "v"}, "run": {"status": "failed"}}
    assert handler.secret_options.render(scope) == {"header": "v failed"}


async def test_no_byte_of_a_secret_leaves_an_engine_in_a_log(tmp_path):
    shipping = Shipping(NodeLogs(tmp_path, by_epoch=True))
    shop, travelled = Shop(tmp_path, shipping), []

    def act(context):
        for byte in b"before " + KEY.encode() + b" after":
            context.log.write(bytes([byte]))
            travelled.extend(shipping.take(1024))
        return {}

    await shop.attempt(act)
    travelled.extend(shipping.take(1024))
    assert b"".join(chunk.data for chunk in travelled) == b"before *** after"
    assert len(travelled) > len("before ")

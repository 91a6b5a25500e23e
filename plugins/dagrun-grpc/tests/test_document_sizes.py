"""Documents of every size that is allowed can be managed; what is too large is said."""

import json
from contextlib import asynccontextmanager

import pytest
import trio

from dagrun.domain.document.composer import MAX_BYTES
from dagrun.domain.status import RunStatus
from dagrun.errors import DagrunError, DefinitionError
from dagrun.testing.managed import EXECUTOR, managed
from dagrun.testing.management import document, node
from dagrun_grpc import grpc
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.manage_calls import REGISTER_WORKFLOW, START_RUN
from dagrun_grpc.limits import MAX_DOCUMENT, MAX_MESSAGE, Patience
from dagrun_grpc.manage_views import SHOWN
from dagrun_grpc.wire.dagrun import v1

LIMIT = 60.0


@asynccontextmanager
async def reached(folder, **options):
    with trio.fail_after(LIMIT):
        async with (
            managed(folder, lambda: grpc(port=0), **options) as world,
            grpc() as transport,
            transport.manage(world.address) as management,
        ):
            yield world, management


@asynccontextmanager
async def asking(world):
    async with Bridge() as bridge:
        asks = Asking(bridge, world.address, context=None, metadata={}, patience=Patience())
        yield asks
        await asks.close()


def padded(size, **fields):
    """Write a document of a size, whose node names a file."""
    one = {"id": "a", "executor": {"type": EXECUTOR, "file": "large"}}
    rest = size - len(document(one, description="", **fields))
    text = document(one, description="d" * rest, **fields)
    assert len(text) == size
    return text


def beside(text, size, letter="x"):
    """Give a file with which the whole request has a size."""
    request = v1.RegisterWorkflowRequest(
        document=v1.Document(text=text, files={"large": letter * size})
    )
    return {"large": letter * (2 * size - len(bytes(request)))}


@pytest.mark.parametrize("letter", ["x", "\1"], ids=["plain", "six times as long in JSON"])
async def test_a_document_of_the_limit_is_registered_with_its_files_read_and_run(tmp_path, letter):
    async with reached(tmp_path) as (_, management):
        text = padded(MAX_BYTES)
        files = beside(text, MAX_DOCUMENT, letter)
        workflows = management.workflows
        assert not await workflows.validate(text, files=files)
        assert (await workflows.register(text, files=files)).created
        _, workflow = await workflows.get("w")
        assert workflow.nodes[0].executor.options == {"code": files["large"]}
        assert len(workflow.description) > MAX_BYTES - 1000
        run = await management.runs.start("w")
        assert (await management.runs.wait(run.run_id)).status is RunStatus.SUCCEEDED
        assert await management.runs.workflow_of(run.run_id) == workflow
        next_text = padded(MAX_BYTES, version="1.1.0")
        next_files = beside(next_text, MAX_DOCUMENT - 100)
        assert (await workflows.update("w", next_text, files=next_files)).version == "1.1.0"


async def test_what_cannot_be_sent_says_what_is_too_large(tmp_path):
    async with reached(tmp_path, engine=False) as (_, management):
        text = padded(MAX_BYTES)
        files = beside(text, MAX_DOCUMENT + 1)
        said = (
            f"the document has {MAX_BYTES} bytes, its files {len(files['large'])}, .* "
            f"at most {MAX_DOCUMENT} are possible"
        )
        with pytest.raises(DefinitionError, match=said):
            await management.workflows.register(text, files=files)
        with pytest.raises(DefinitionError, match=said):
            await management.workflows.update("w", text, files=files)
        longer = {"large": files["large"] + "x" * 20}
        (problem,) = await management.workflows.validate(text, files=longer)
        assert "cannot be sent" in problem.message
        assert not (await management.workflows.list()).items


async def test_a_document_that_is_longer_than_allowed_is_called_so(tmp_path):
    async with reached(tmp_path, engine=False) as (_, management):
        text = padded(MAX_BYTES + 1)
        with pytest.raises(DefinitionError, match=f"more than {MAX_BYTES} bytes"):
            await management.workflows.register(text, files={"large": "x" * 1_000_000})
        (problem,) = await management.workflows.validate(text)
        assert f"more than {MAX_BYTES} bytes" in problem.message


async def test_a_file_that_is_longer_than_allowed_is_called_so(tmp_path):
    async with reached(tmp_path, engine=False) as (_, management):
        text, letters = padded(1000), "é" * (MAX_BYTES // 2)
        assert not await management.workflows.validate(text, files={"large": letters})
        (problem,) = await management.workflows.validate(text, files={"large": letters + "x"})
        assert problem.message == f"large cannot be read: it has more than {MAX_BYTES} bytes"
        assert problem.path == "spec.nodes[0].executor.file"


@pytest.mark.parametrize(
    ("call", "request_of", "most"),
    [
        (
            REGISTER_WORKFLOW,
            lambda data: v1.RegisterWorkflowRequest(document=v1.Document(text=data)),
            MAX_DOCUMENT,
        ),
        (START_RUN, lambda data: v1.StartRunRequest(workflow_id="w", inputs=data), MAX_MESSAGE),
    ],
)
async def test_a_server_says_that_a_request_is_too_large(tmp_path, call, request_of, most):
    async with reached(tmp_path, engine=False) as (world, _), asking(world) as asks:
        size = most - (len(bytes(request_of(b"x" * most))) - most)
        assert len(bytes(request_of(b"x" * size))) == most
        with pytest.raises(DagrunError) as fits:
            await asks.once(call, request_of(b"x" * size))
        assert f"at most {most} are allowed" not in str(fits.value)
        with pytest.raises(DagrunError, match=f"{most + 1} bytes; at most {most} are allowed"):
            await asks.once(call, request_of(b"x" * (size + 1)))


async def test_more_problems_than_fit_in_an_answer_are_counted(tmp_path):
    async with reached(tmp_path, engine=False) as (_, management):
        wrong = {f"n{number}": "${" for number in range(800)}
        for level in range(10):
            wrong = {f"{level}" * 1000: wrong}
        text = document(node("a", outputs=wrong))
        problems = await management.workflows.validate(text)
        assert problems[-1].message.startswith("and ")
        assert sum(len(one.path) for one in problems) < MAX_MESSAGE
        assert len(problems[0].path) > 10_000
        with pytest.raises(DefinitionError) as raised:
            await management.workflows.register(text)
        assert raised.value.problems == tuple(problems)


async def test_a_list_holds_workflows_with_long_descriptions(tmp_path):
    async with reached(tmp_path, engine=False) as (_, management):
        for name in ("a", "b"):
            text = document(node("a"), workflow_id=name, description="é" * 600_000)
            await management.workflows.register(text)
        assert len(json.loads(text)["metadata"]["description"]) == 600_000
        shown = [one.description for one in (await management.workflows.list()).items]
        assert shown == ["é" * SHOWN] * 2
        view, workflow = await management.workflows.get("a")
        assert view.description == workflow.description == "é" * 600_000


async def test_a_list_without_pages_comes_in_as_many_answers_as_it_needs(tmp_path):
    async with reached(tmp_path, engine=False) as (_, management):
        for minor in range(5):
            text = document(node("a"), version=f"1.{minor}.0")
            await management.workflows.register(text, metadata={"m": "x" * 1_000_000})
        found = await management.workflows.versions("w")
        assert [one.version for one in found] == [f"1.{minor}.0" for minor in (4, 3, 2, 1, 0)]
        assert sum(len(one.metadata["m"]) for one in found) == 5_000_000

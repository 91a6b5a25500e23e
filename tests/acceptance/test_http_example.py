"""``examples/http.yaml`` through the command line, against a server on loopback."""

import json
import shutil
from pathlib import Path

import pytest

from dagrun.testing.http_server import answer, serving
from dagrun.testing.programs import COMMAND, call

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(tmp_path):
    """Run the example from a copy of its folder."""
    folder = shutil.copytree(EXAMPLES, tmp_path / "examples")

    command = (*COMMAND, "run", folder / "http.yaml", "--json")
    return lambda *arguments, **environment: call(
        *command, *arguments, folder=tmp_path, **environment
    )


def site():
    """Give scripts of a site that is busy at first, and has moved one page."""
    busy = [answer(status="503 Busy")]
    return {
        "/": lambda _: busy.pop() if busy else answer("welcome"),
        "/old": answer(status="301 Moved", headers={"Location": "/new"}),
        "/new": answer("here"),
        "/report": answer(status="201 Created"),
        "*": answer("no such page", status="404 Not Found"),
    }


def test_the_example_counts_pages_and_reports(run):
    with serving(site()) as server:
        done = run(
            *("--input", f"site={server.url}", "--input", 'pages=["/", "/old", "/gone"]'),
            *("--input", f"report_to={server.url}/report"),
            *("--http-allow", f"localhost, 127.0.0.1:{server.port}"),
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["outputs"] == {"found": 2, "missing": ["/gone"]}
    nodes = {node["id"]: node for node in result["nodes"]}
    assert [item["attempts"] for item in nodes["ask"]["items"]] == [2, 1, 1]
    assert nodes["ask"]["outputs"][1]["text"] == "here"
    assert nodes["report"]["outputs"]["status"] == 201
    (report,) = [received for received in server.received if received.target == "/report"]
    assert json.loads(report.body) == {"site": server.url, "found": 2, "missing": ["/gone"]}
    assert report.headers["idempotency-key"] == f"{result['run_id']}/report"
    keys = [r.headers["idempotency-key"] for r in server.received if r.target == "/"]
    assert keys == [f"{result['run_id']}/ask/0"] * 2


def test_without_permission_a_local_site_is_not_asked(run):
    with serving(site()) as server:
        done = run("--input", f"site={server.url}")
        allowed = run("--input", f"site={server.url}", DAGRUN_HTTP_ALLOW="127.0.0.0/8")
    assert done.returncode == 1
    (ask, *_) = json.loads(done.stdout)["nodes"]
    assert {item["error"]["type"] for item in ask["items"]} == {"refused_address"}
    assert [item["attempts"] for item in ask["items"]] == [1, 1]
    assert allowed.returncode == 0, allowed.stderr


def test_a_permission_that_is_none_is_refused_by_name(run):
    done = run("--input", "site=http://127.0.0.1", "--http-allow", "*.test")
    assert done.returncode == 2
    message = json.loads(done.stdout)["error"]["message"]
    assert message.startswith("--http-allow: '*.test' is no host")

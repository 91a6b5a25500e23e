import json
import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from dagrun.workers.child import NUMBER, read_frame, write_frame
from dagrun_lua.executor import LuaOptions, worker_argv

LIMIT = struct.pack("ll", 20, 0)  # seconds and microseconds, for a worker that never answers
NONE = {"inputs": {}, "nodes": {}, "run": {}, "env": {}}


class Client:
    def __init__(self, log):
        self.link, theirs = socket.socketpair()
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, LIMIT)
        self.process = subprocess.Popen(worker_argv(), stdin=theirs, stdout=log, env={})
        theirs.close()
        self.number = 0

    def call(self, code, timeout=0.3, memory=16 << 20, **scope):
        request = {"name": "n", "code": code, "memory": memory, "timeout": timeout}
        request["scope"] = NONE | scope
        self.number += 1
        number = self.number.to_bytes(NUMBER, "little")
        write_frame(self.link.fileno(), number + json.dumps(request).encode())
        reply = read_frame(self.link.fileno())
        assert reply[:NUMBER] == number
        return json.loads(reply[NUMBER:])

    def processor_time(self):
        """Give the seconds of processor time that the worker has used, to a hundredth."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def worker():
    client = Client(subprocess.PIPE)
    yield client
    client.link.close()
    client.process.communicate(timeout=5)
    assert client.process.returncode == 0


def test_code_sees_its_scope_and_returns_outputs(worker):
    code = "return {x = inputs.a * 2, l = nodes.n.l, e = json.array(), s = nodes.s == json.null}"
    reply = worker.call(code, inputs={"a": 4}, nodes={"n": {"l": []}, "s": None})
    assert reply == {"outputs": {"x": 8, "l": [], "e": [], "s": True}}
    assert worker.call("local x = 1") == {"outputs": {}}


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("return 1", "output", "it returns a number, not a table"),
        ("return {x = 0/0}", "output", "it returns NaN, which JSON does not have"),
        ("return {f = print}", "output", "it returns a function"),
        ("x = ", "lua", "n:1: unexpected symbol near <eof>"),
        ("\n\nerror('boom')", "lua", "n:3: boom"),
        ("error({code = 1})", "lua", '{"code":1}'),
        ("setmetatable({}, {__gc = print})", "lua", "n:1: setmetatable: __gc is not available"),
        ("local s = 'x' while true do s = s .. s end", "memory", None),
        ("local t = {} while true do t[#t + 1] = {} end", "memory", None),
        ("local function f() return f() + 1 end f()", "memory", None),
        ("while true do end", "timeout", None),
        ("while true do pcall(function() while true do end end) end", "timeout", None),
        ("coroutine.wrap(function() while true do end end)()", "timeout", None),
        (
            "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
            "timeout",
            None,
        ),
        ("while true do xpcall(error, function() while true do end end) end", "timeout", None),
        ("\x1bLua", "lua", None),
        ("coroutine.yield('5')", "lua", "the code yields, but it is no coroutine"),
        ("coroutine.yield()", "lua", "the code yields, but it is no coroutine"),
        ("coroutine.yield('done', '{}')", "lua", "the code yields, but it is no coroutine"),
        ("coroutine.yield({a = 1})", "lua", "the code yields, but it is no coroutine"),
        ("error(setmetatable({}, {__tostring = function() return 'mine' end}))", "lua", "mine"),
        (
            "return {[{}] = 1}",
            "output",
            "it returns a sparse table, or one with a key that is no text but a table",
        ),
        (
            "error(setmetatable({}, {__tostring = function() while true do end end}))",
            "timeout",
            None,
        ),
        (
            "error({[setmetatable({}, {__tostring=function() while true do end end})]=1})",
            "lua",
            "an error that is a table",
        ),
    ],
)
def test_each_failure_is_typed_and_ends_within_its_limit(worker, code, kind, message):
    """The limit is 0.3 s, and half a second more is allowed.

    The worker's processor time is measured, and not the time on the wall, of which a busy machine
    may take any part. Code in a loop does nothing but use it, and Lua's own clock measures it,
    too. The engine keeps the time on the wall, by ending the worker: see ``test_executor.py``.
    """
    before = worker.processor_time()
    error = worker.call(code)["error"]
    assert error["type"] == kind
    assert message in (None, error["message"])
    assert worker.processor_time() - before < 0.3 + 0.5
    assert worker.call("return {ok = true}") == {"outputs": {"ok": True}}


def test_null_is_nil_and_comes_back_as_null(worker):
    code = """
        assert(item == nil and item == json.null and not nodes.f and not run.error and not inputs.y)
        assert(not pcall(function() return nodes.f.x end))
        local sum, seen = 0, {}
        for i, p in ipairs(nodes.each) do if p then sum = sum + i * p.v end end
        for i, p in pairs(nodes.each) do seen[#seen + 1] = i end
        table.insert(nodes.each, 1, json.null)
        assert(table.remove(nodes.each).v == 3 and #nodes.each == 3 and next(nodes.each) == 1)
        setmetatable(inputs, {__index = function() return 5 end})
        return {sum = sum, seen = seen, item = item or json.null, inputs = inputs, nodes = nodes}"""
    reply = worker.call(
        code,
        item=None,
        run={"error": None},
        inputs={"y": None, "z": {"y": None}},
        nodes={"f": None, "each": [{"v": 1}, None, {"v": 3}]},
    )
    assert reply == {
        "outputs": {
            "sum": 10,
            "seen": [1, 3],
            "item": None,
            "inputs": {"y": None, "z": {"y": None}},
            "nodes": {"f": None, "each": [None, {"v": 1}, None]},
        }
    }


@pytest.mark.parametrize("inputs", [{"v": [[]] * 300_000}, {"v": "x" * 20_000_000}])
def test_inputs_that_are_too_large_for_the_memory_fail_the_node_only(worker, inputs):
    assert worker.call("return {}", inputs=inputs)["error"]["type"] == "memory"
    assert worker.call("return {ok = true}") == {"outputs": {"ok": True}}


def test_nothing_of_the_machine_is_reachable(worker):
    names = "io os package require debug load loadstring loadfile dofile collectgarbage python"
    code = f"""
        for name in ("{names}"):gmatch("%S+") do assert(_G[name] == nil, name) end
        assert(string.dump == nil and ("").dump == nil)
        return {{}}"""
    assert worker.call(code) == {"outputs": {}}


def test_a_request_leaves_nothing_for_the_next(worker):
    worker.call("string.x, leak = 1, 2")
    assert worker.call("return {string.x == nil and leak == nil}") == {"outputs": [True]}


def test_a_worker_loads_nothing_that_only_the_engine_needs():
    python, *arguments = worker_argv()
    argv = [python, "-X", "importtime", *arguments]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"dagrun", "dagrun.domain.lua", "lupa.lua54"} <= loaded
    assert loaded.isdisjoint({"typing", "pathlib", "importlib", "dagrun.errors"})


def test_a_worker_may_gain_no_privileges_and_ends_with_the_engine(worker):
    worker.call("return {}")
    with open(f"/proc/{worker.process.pid}/status") as status:  # noqa: PTH123 — one line of proc
        assert "NoNewPrivs:\t1\n" in status.readlines()


def test_print_and_log_write_one_line_each():
    client = Client(subprocess.PIPE)
    client.call("print('a', nil, 1) log.warn('x\\ny')")
    client.link.close()
    printed, _ = client.process.communicate(timeout=5)
    assert printed == b"a\tnil\t1\nWARN x\\ny\n"


@pytest.mark.parametrize("options", [{}, {"code": "", "file": "x"}, {"code": "", "memory": 1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=r"code|memory"):
        LuaOptions(**options)

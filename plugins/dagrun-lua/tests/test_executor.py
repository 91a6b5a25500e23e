from types import SimpleNamespace

import pytest
import trio

from dagrun.domain.jsonvalue import Raw
from dagrun.errors import NodeError
from dagrun.services.processes import open_processes
from dagrun.testing.executors import ExecutorSuite
from dagrun_lua import LuaExecutor, LuaOptions


class TestLuaKeepsWhatAnExecutorPromises(ExecutorSuite):
    def executor(self):
        return LuaExecutor()

    def gives(self):
        return LuaOptions(code="return {answer = 42}")

    def fails(self):
        return LuaOptions(code="error('as told')"), "lua"

    def prints(self):
        return LuaOptions(code="print('hello from the node')")

    def floods(self):
        return LuaOptions(code="return {a = ('x'):rep(1100000)}")

    def tells_secret(self):
        return LuaOptions(code="kept = kept or secrets.API_KEY return {value = kept}")


class Log:
    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data


def context(processes, code, *, timeout=None, **more):
    values = {
        "options": LuaOptions(code=code),
        "node_id": "n",
        "timeout": timeout,
        "raw_inputs": Raw(b"{}"),
        "raw_nodes": {},
        "run": {},
        "env": {},
        "secrets": {},
        "item": None,
        "item_index": None,
        "base": None,
        "log": Log(),
        "processes": processes,
    }
    return SimpleNamespace(**values | more)


async def test_a_node_gets_raw_outputs_of_its_dependencies_and_gives_raw_outputs():
    async with open_processes() as processes, LuaExecutor() as lua:
        given = context(
            processes, "print('hi') return {r = nodes.a.x + 1}", raw_nodes={"a": Raw(b'{"x":1}')}
        )
        assert bytes(await lua.execute(given)) == b'{"r":2}'
        assert given.log.data == b"hi\n"


async def test_code_that_does_not_look_at_nodes_needs_no_memory_for_them():
    large = Raw(b'"' + b"x" * 900_000 + b'"')
    nodes = {f"n{number}": large for number in range(100)}
    async with open_processes() as processes, LuaExecutor() as lua:
        given = context(processes, "return {s = run.status}", raw_nodes=nodes, run={"status": "ok"})
        assert bytes(await lua.execute(given)) == b'{"s":"ok"}'
        with pytest.raises(NodeError) as caught:
            await lua.execute(context(processes, "return {n = #nodes.n1}", raw_nodes=nodes))
        assert caught.value.type == "memory"


async def test_an_item_may_be_as_large_as_the_list_that_it_is_from():
    async with open_processes() as processes, LuaExecutor() as lua:
        given = context(processes, "return {n = #item}", item="x" * 2_000_000, item_index=0)
        assert bytes(await lua.execute(given)) == b'{"n":2000000}'


async def test_a_file_is_not_read_when_a_node_runs_and_a_lua_error_fails_it(tmp_path):
    (tmp_path / "there.lua").write_text("return {}")
    async with open_processes() as processes, LuaExecutor() as lua:
        with pytest.raises(NodeError, match=r"without the text of there\.lua") as missing:
            await lua.execute(
                context(processes, "", options=LuaOptions(file="there.lua"), base=tmp_path)
            )
        with pytest.raises(NodeError) as failing:
            await lua.execute(context(processes, "error('boom')"))
        assert (missing.value.type, failing.value.type) == ("file", "lua")


@pytest.mark.parametrize(
    "code",
    [
        "string.rep('', math.maxinteger)",
        "local a = ('a'):rep(200) a:find(('a-'):rep(30) .. 'b')",
        "table.move({}, 1, math.maxinteger - 1, 2)",
    ],
)
async def test_cancelling_ends_a_loop_inside_c_and_spares_other_nodes(code):
    """Half a second after its limit the node has ended.

    A busy machine can hold up any of the processes for longer than that. So the best of up to
    three times counts: an end that waits for something is late every time.
    """
    async with open_processes() as processes, LuaExecutor() as lua:
        await lua.execute(context(processes, "return {}"))
        late = []
        while not late or (min(late) >= 0.5 and len(late) < 3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lua.execute, context(processes, "return {}"))
                with trio.move_on_after(0.3) as scope:
                    await lua.execute(context(processes, code))
            assert scope.cancelled_caught
            late.append(trio.current_time() - scope.deadline)
        assert min(late) < 0.5, late
        assert bytes(await lua.execute(context(processes, "return {}"))) == b"{}"

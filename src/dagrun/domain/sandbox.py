"""The Lua runtime in which expressions are evaluated, one a process.

Expressions come from whoever writes workflows and run inside the engine's own process, so they get
less than node code: no patterns, no ``string.rep`` or ``string.format``, no metatables, nothing
that catches errors, no coroutines, no randomness. Everything that they share is read-only.
"""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal

from dagrun.domain.lua import MAX_DEPTH, OUTPUT_MARK, VALUES, Converter, open_runtime

MEMORY: Final = 16 * 1024 * 1024
"""Bytes that an evaluation may take beside the values that it is given."""

ROOM: Final = 256 * 1024 * 1024
"""Bytes that those may take: 16 MiB of JSON at least, unless it is made of empty tables."""

BUDGET: Final = 1_000_000
"""Instructions that one evaluation may take."""

_STEP: Final = 10  # instructions between two looks at the clock; one may compare megabytes
_SECONDS: Final = 0.25  # of one evaluation: the limit for few but costly instructions
_TOGETHER: Final = 1.0  # seconds of all evaluations that share them, with what they are given
_CACHED: Final = 1024 * 1024  # characters of code of which the compiled form is kept

_LONGEST: Final = MEMORY // 2  # bytes of an argument that is a text

_OVER: Final = "\1budget"  # what the hook below complains of
_ALL_TAKE_TOO_LONG: Final = (
    f"it and the other expressions here take more than {_TOGETHER:g} s together"
)
_SHARED: Final[ContextVar[float | None]] = ContextVar("shared", default=None)
"""When those evaluations have to end that share their time, by the thread's own clock."""

ABSENT: Final = object()
"""An argument that there is not."""

Kind = Literal["budget", "memory", "runtime", "output", "input"]

_MACHINE: Final = r"""
local values, BUDGET, STEP, thread_time = ...
local null, encode, elements = values.null, values.encode, values.elements
local type, next, error, select, load = type, next, error, select, load
local rawget, move, collectgarbage = rawget, table.move, collectgarbage
local LARGE = 4096  -- KiB
local setmetatable, rawequal, lua_tostring = setmetatable, rawequal, tostring
local math_type, sort, byte, plain_find = math.type, table.sort, string.byte, string.find
local sethook, clock, metatable_of = debug.sethook, os.clock, debug.getmetatable

local function locked(library, name)
  return setmetatable({}, {
    __index = library, __metatable = false,
    __newindex = function() error(name .. " cannot be changed", 2) end,
  })
end

local function chosen(library, names)
  local out = {}
  for name in names:gmatch("%S+") do out[name] = library[name] end
  return out
end

local function check_text(s, name)
  if type(s) == "number" then return lua_tostring(s) end
  if type(s) ~= "string" then error(name .. ": a text is needed, not " .. type(s), 0) end
  return s
end

local strings = chosen(string, "upper lower len sub byte char reverse")
-- A plain search may compare each position with the whole needle.
local function search(name, s, needle, init)
  s, needle = check_text(s, name), check_text(needle, name)
  if init ~= nil and not math_type(init) then error(name .. ": a number is needed, not " .. type(init), 3) end
  if #s * #needle > 100000000 then error(name .. ": the texts are too long", 3) end
  return plain_find(s, needle, init, true)
end
function strings.find(s, needle, init)
  local first, last = search("find", s, needle, init)
  return first, last
end
function strings.contains(s, needle)
  local first = search("contains", s, needle)
  return first ~= nil
end
function strings.starts(s, head)
  return check_text(s, "starts"):sub(1, #check_text(head, "starts")) == head
end
function strings.ends(s, tail)
  return #check_text(tail, "ends") == 0 or check_text(s, "ends"):sub(-#tail) == tail
end

local function text_of(value)
  local kind = type(value)
  if rawequal(value, null) then return "null" end
  if kind == "table" or kind == "function" then
    error("tostring: a " .. kind .. " has no text; json.encode writes a table", 2)
  end
  return lua_tostring(value)
end

-- Lua's own order changes from process to process; a replay must see the same: numbers, then texts.
local function sorted_keys(t, name)
  if type(t) ~= "table" then error(name .. ": a table is needed, not " .. type(t), 0) end
  local keys, count, texts, words = {}, 0, {}, 0
  for key in next, elements(t) or t do
    if type(key) == "string" then
      words = words + 1
      texts[words] = key
    elseif type(key) == "number" then
      count = count + 1
      keys[count] = key
    else
      error(name .. ": a key that is neither number nor text", 0)
    end
  end
  sort(keys)
  sort(texts)
  return move(texts, 1, words, count + 1, keys)
end
local function sorted_next(t, key)
  if key ~= nil then error("next: it gives the first key only; use pairs", 2) end
  local first = sorted_keys(t, "next")[1]
  if first ~= nil then return first, rawget(elements(t) or t, first) end
end
local function sorted_pairs(t)
  local keys = sorted_keys(t, "pairs")
  local i = 0
  return function()
    i = i + 1
    local key = keys[i]
    if key ~= nil then return key, t[key] end
  end
end

local library = {
  type = type, next = sorted_next, select = select, ipairs = values.ipairs, tonumber = tonumber,
  tostring = text_of, pairs = sorted_pairs,
  string = locked(strings, "string"),
  table = locked(chosen(table, "concat unpack"), "table"),
  utf8 = locked(chosen(utf8, "len char"), "utf8"),
  json = locked({null = null, array = values.array, encode = encode}, "json"),
  math = locked(chosen(math, "abs ceil floor max min sqrt fmod modf tointeger type ult exp log "
    .. "sin cos tan asin acos atan pi huge maxinteger mininteger"), "math"),
}
setmetatable(library, {__index = function(_, name) error("unknown name " .. name, 2) end})
local ENV = setmetatable({}, {
  __index = library, __metatable = false,
  __newindex = function(_, name) error("a global cannot be set: " .. lua_tostring(name), 2) end,
})
-- Any member of what is null is null.
debug.setmetatable(nil, {__index = function() end, __metatable = false})
local shared = metatable_of("")
shared.__index = strings
shared.__metatable = false

local steps, deadline, limit

-- The process's clock counts all threads, and is quick to ask. Only when it says that the time is
-- over, Python is asked for this thread's own.
local function is_over()
  if clock() <= deadline then return false end
  local left = limit - thread_time()
  deadline = clock() + left
  return left <= 0
end

local function watch()
  steps = steps - 1
  -- Asking for the time takes longer than ten instructions, but for those with large texts.
  local look = steps % 10 == 0 or collectgarbage("count") > LARGE
  if look and (steps <= 0 or is_over()) then sethook() error("\1budget", 0) end
end

local function guard(budget, seconds)
  steps, deadline, limit = budget // STEP, clock() + seconds, thread_time() + seconds
  sethook(watch, "", STEP)
end

local function compile(source) return load(source, "=expression", "t", ENV) end

local function run(compiled, seconds, ...)
  guard(BUDGET, seconds)
  local value = compiled(...)
  if value == nil or rawequal(value, null) then sethook() return nil end
  if type(value) == "table" or type(value) == "function" then
    guard(BUDGET * 20, seconds)  -- writing a long list is no endless loop
    local text = encode(value)
    sethook()
    return nil, text
  end
  sethook()
  return value
end
return compile, run, sethook
"""


class Failure(Exception):
    """An evaluation failed. ``kind`` says how, the message is for the workflow's author."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Sandbox:
    """Compiles and evaluates expressions in one Lua runtime."""

    def __init__(self) -> None:
        self._runtime = runtime = open_runtime(MEMORY)
        values = runtime.execute(VALUES, MAX_DEPTH, name="=values", mode="t")
        self._compile, self._run, self._unwatch = runtime.execute(
            _MACHINE,
            values,
            BUDGET,
            _STEP,
            time.thread_time,
            name="=sandbox",
            mode="t",
        )
        self._functions: dict[str, Any] = {}
        self._cached = 0  # characters of their sources
        self._converter = Converter(runtime, values, ROOM)
        self._limit = runtime.set_max_memory
        self._limit(0)

    def compile(self, chunk: str) -> str | None:
        """Give what is wrong with a chunk, or None. What is right is not kept."""
        compiled = self._call(self._compile, chunk)
        return _cleaned(compiled[1]) if isinstance(compiled, tuple) else None

    def _call(self, function: Any, *arguments: Any) -> Any:
        """Bound what Lua may take, while it runs in a call that can fail of it.

        Anywhere else, running out of memory ends the process.
        """
        self._limit(self._runtime.get_memory_used(True) + MEMORY, True)
        try:
            return function(*arguments)
        finally:
            self._limit(0)

    def evaluate(self, chunk: str, arguments: Iterable[Any]) -> Any:
        """Run a chunk that compiles; give a JSON value.

        Args:
            chunk: the code.
            arguments: JSON values, or ``ABSENT`` for nil.
        """
        self._converter.begin()
        shared = _SHARED.get()
        values = [self._argument(value) for value in arguments]
        function = self._function(chunk)
        seconds = _SECONDS if shared is None else min(_SECONDS, shared - time.thread_time())
        if seconds <= 0:
            raise Failure("budget", _ALL_TAKE_TOO_LONG)
        try:
            result = self._call(self._run, function, seconds, *values)
        except Exception as error:
            self._unwatch()  # an error leaves the hook in place, and values are made in Lua, too
            if seconds < _SECONDS and _cleaned(str(error)).startswith(_OVER):
                raise Failure("budget", _ALL_TAKE_TOO_LONG) from error
            raise
        return json.loads(result[1]) if isinstance(result, tuple) else result

    def _argument(self, value: Any) -> Any:
        if value is ABSENT:
            return None
        if type(value) is str and len(value) * (1 if value.isascii() else 4) > _LONGEST:
            raise MemoryError("a text is too long")  # it is copied under the limit
        return self._converter.to_lua(value)

    def _function(self, chunk: str) -> Any:
        function = self._functions.get(chunk)
        if function is None:
            self._cached += len(chunk)
            if self._cached > _CACHED:
                self._functions.clear()
                self._cached = len(chunk)
            function = self._call(self._compile, chunk)
            if isinstance(function, tuple):
                raise Failure("runtime", _cleaned(function[1]))
            self._functions[chunk] = function
        return function


@contextmanager
def shared_time() -> Iterator[None]:
    """Let all evaluations inside have ``_TOGETHER`` seconds, so that many do not hold the loop."""
    token = _SHARED.set(time.thread_time() + _TOGETHER)
    try:
        yield
    finally:
        _SHARED.reset(token)


_sandboxes: list[Sandbox] = []


def sandbox() -> Sandbox:
    """Give the sandbox of this process; it is made on first use."""
    if not _sandboxes:
        _sandboxes.append(Sandbox())
    return _sandboxes[0]


def failure(error: Exception) -> Failure:
    """Say what an exception from :meth:`Sandbox.evaluate` means."""
    from lupa.lua54 import LuaMemoryError  # noqa: PLC0415 — loaded by now

    if isinstance(error, Failure):
        return error
    # lupa takes any message with these words for one; its own has none, or nothing else.
    by_lua = isinstance(error, LuaMemoryError) and _cleaned(str(error)) in ("", "not enough memory")
    if by_lua or (isinstance(error, MemoryError) and not isinstance(error, LuaMemoryError)):
        _sandboxes.clear()  # what ran out of memory may be left half done
        why = (
            f"it needs more than {MEMORY // 2**20} MiB of memory, or {ROOM // 2**20} MiB for values"
        )
        return Failure("memory", why)
    if isinstance(error, UnicodeDecodeError):
        return Failure("output", "it gives, or complains of, a text that is not UTF-8")
    if isinstance(error, UnicodeEncodeError | OverflowError | TypeError):
        return Failure("input", f"a value that Lua cannot hold: {error}")
    return _lua_failure(_cleaned(str(error)))


def _lua_failure(message: str) -> Failure:
    if message.startswith(_OVER):
        return Failure("budget", f"it takes more than {BUDGET} instructions or {_SECONDS:g} s")
    if message.startswith(OUTPUT_MARK):
        return Failure("output", f"it gives {message.removeprefix(OUTPUT_MARK)}")
    return Failure("runtime", message)


def _cleaned(message: str) -> str:
    """Leave out the traceback and the name of the chunk."""
    message = message.partition("\nstack traceback")[0]
    head, colon, tail = message.partition(": ")
    return tail if colon and head.startswith("expression:") else message

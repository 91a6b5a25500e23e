"""Values between JSON and Lua, the same for expressions and for node code.

No Python object is ever handed to Lua: JSON becomes tables, tables become JSON text. This module
is imported by worker processes, so it stays cheap to import.

==============  ====================================================================
JSON            Lua
==============  ====================================================================
null            ``json.null``, a value of its own; indexing it gives nil
array           a table that remembers being an array, also when it is empty
object          a table
integer         an integer; beyond 64 bits a float, as Lua reads such numerals
number, string  a float, a string of UTF-8
==============  ====================================================================

On the way back a table with the keys 1…n is an array, one with string keys an object, and an
empty one an object unless it came from an array or from ``json.array()``.
"""

import functools
from typing import Any, Final

MAX_DEPTH: Final = 200
"""Levels of nesting that a value may have, as in :mod:`dagrun.domain.jsonvalue`."""

_INTEGERS: Final = range(-(2**63), 2**63)

VALUES: Final = r"""
local MAX_DEPTH = ...
local type, next, error, rawequal, rawlen = type, next, error, rawequal, rawlen
local format, gsub, find = string.format, string.gsub, string.find
local concat, sort, utf8_len, math_type = table.concat, table.sort, utf8.len, math.type
local setmetatable, metatable_of, tostring = setmetatable, debug.getmetatable, tostring
local huge = math.huge

-- Values that JSON cannot hold are told from other failures by this mark.
local MARK = "\1output\1"
local function refuse(text) error(MARK .. text, 0) end

local null = setmetatable({}, {
  __newindex = function() error("json.null cannot be changed", 2) end,
  __metatable = false, __name = "json.null", __tostring = function() return "null" end,
})
local ARRAY = {__metatable = false}
local function mark(t) return setmetatable(t, ARRAY) end
local function array(t)
  if t == nil then t = {} end
  if type(t) ~= "table" or rawequal(t, null) then
    error("json.array takes a table", 2)
  end
  if metatable_of(t) == ARRAY then return t end
  return mark(t)
end

local ESCAPES = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t"}
for code = 0, 31 do
  local c = string.char(code)
  ESCAPES[c] = ESCAPES[c] or format("\\u%04x", code)
end

local function text(s)
  if not utf8_len(s) then refuse("a text that is not UTF-8") end
  if find(s, '[%c"\\]') then s = gsub(s, '[%c"\\]', ESCAPES) end
  return '"' .. s .. '"'
end

local function number(n)
  if math_type(n) == "integer" then return format("%d", n) end
  if n ~= n then refuse("NaN, which JSON does not have") end
  if n == huge or n == -huge then refuse("infinity, which JSON does not have") end
  local short = format("%.17g", n)
  if find(short, "[.e]") then return short end
  return short .. ".0"
end

local write

local function write_array(out, t, count, depth)
  out[#out + 1] = "["
  for i = 1, count do
    if i > 1 then out[#out + 1] = "," end
    write(out, rawget(t, i), depth)
  end
  out[#out + 1] = "]"
end

local function write_object(out, t, keys, depth)
  sort(keys)
  out[#out + 1] = "{"
  for i = 1, #keys do
    out[#out + 1] = (i > 1 and "," or "") .. text(keys[i]) .. ":"
    write(out, rawget(t, keys[i]), depth)
  end
  out[#out + 1] = "}"
end

local function write_table(out, t, depth)
  if depth > MAX_DEPTH then
    refuse("a table nested deeper than " .. MAX_DEPTH .. " levels, or one that contains itself")
  end
  local length, indexes, keys, names = rawlen(t), 0, nil, 0
  for key in next, t do
    if math_type(key) == "integer" and key >= 1 and key <= length then
      indexes = indexes + 1
    elseif type(key) == "string" then
      keys = keys or {}
      names = names + 1
      keys[names] = key
    else
      refuse("a sparse table, or one with a key that is no text: " .. tostring(key))
    end
  end
  if keys and (indexes > 0 or metatable_of(t) == ARRAY) then
    refuse("a table with both indexes and names")
  end
  if indexes < length then refuse("a sparse table (an array with nil inside)") end
  if keys then return write_object(out, t, keys, depth + 1) end
  if length == 0 and metatable_of(t) ~= ARRAY then out[#out + 1] = "{}" return end
  write_array(out, t, length, depth + 1)
end

function write(out, value, depth)
  local kind = type(value)
  if rawequal(value, null) or value == nil then out[#out + 1] = "null"
  elseif kind == "string" then out[#out + 1] = text(value)
  elseif kind == "number" then out[#out + 1] = number(value)
  elseif kind == "boolean" then out[#out + 1] = value and "true" or "false"
  elseif kind == "table" then write_table(out, value, depth)
  else refuse("a " .. kind) end
end

local function encode(value)
  local out = {}
  write(out, value, 1)
  return concat(out)
end
return null, mark, array, encode, MARK
"""
"""A chunk that takes the depth limit and gives ``null, mark, array, encode, MARK``.

``encode`` writes keys in sorted order, since Lua's own order changes from process to process. It
calls no metamethod. A value that JSON lacks is an error whose text begins with ``MARK``.
"""

OUTPUT_MARK: Final = "\1output\1"
"""What the text of such an error begins with."""


def open_runtime(max_memory: int) -> Any:
    """Make a Lua runtime that cannot reach Python.

    Args:
        max_memory: most bytes that Lua may allocate.
    """
    from lupa.lua54 import LuaRuntime  # noqa: PLC0415 — 5 ms that only users of Lua pay

    return LuaRuntime(
        register_eval=False,
        register_builtins=False,
        attribute_handlers=(_deny, _deny),
        max_memory=max_memory,
    )


@functools.cache
def _compiler() -> Any:
    """Make a function that compiles code, runs none of it, and gives Lua's complaint or nil."""
    return open_runtime(64 * 1024 * 1024).execute(
        "local load, select = load, select; "
        "return function(code) return (select(2, load(code, '=code', 't'))) end",
        mode="t",
    )


def syntax_problem(code: str) -> str | None:
    """Give what Lua says of code that does not compile, with the line; None if it does."""
    try:
        problem = _compiler()(code)
    except Exception as error:  # noqa: BLE001 — lupa's own: too long, no valid text
        problem = str(error)
    return None if problem is None else str(problem).removeprefix("code:")


def _deny(*_: object) -> None:
    raise AttributeError("Lua code cannot reach Python")


class Converter:
    """Makes Lua values of JSON values, in one runtime."""

    def __init__(self, runtime: Any, null: Any, mark: Any) -> None:
        self._table = runtime.table_from
        self._null = null
        self._mark = mark

    def to_lua(self, value: Any) -> Any:
        """Give what Lua is to see.

        Raises:
            OverflowError: a number is beyond what a float can hold.
            UnicodeEncodeError: a string has a lone surrogate.
            TypeError: something that is no JSON value.
        """
        kind = type(value)
        if kind is str or kind is bool or kind is float:
            return value
        if kind is int:
            return value if value in _INTEGERS else float(value)
        if value is None:
            return self._null
        return self._container(value)

    def _container(self, value: Any) -> Any:
        to_lua = self.to_lua
        if isinstance(value, list | tuple):
            return self._mark(self._table([to_lua(element) for element in value]))
        if hasattr(value, "items"):
            return self._table({key: to_lua(member) for key, member in value.items()})
        if isinstance(value, str):  # a subclass, such as an enumeration's member
            return str(value)
        raise TypeError(f"a {type(value).__name__} is no JSON value")

"""Values between JSON and Lua, the same for expressions and for node code.

No Python object is ever handed to Lua: JSON becomes tables, tables become JSON text. This module
is imported by worker processes, so it stays cheap to import.

==============  ====================================================================
JSON            Lua
==============  ====================================================================
null            nil, and so is a null in an array or object, which remember it
array           a table that remembers being an array, also when it is empty
object          a table
integer         an integer; beyond 64 bits a float, as Lua reads such numerals
number, string  a float, a string of UTF-8
==============  ====================================================================

On the way back a table with the keys 1…n is an array, one with string keys an object, and an
empty one an object unless it came from an array or from ``json.array()``. Nulls that are remembered
are there again, unless they were given a value. Code makes a null of its own with ``json.null``.
"""

from __future__ import annotations

import functools

TYPE_CHECKING = False  # type checkers take it for true; typing takes a worker 4 ms
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

MAX_DEPTH: Final = 200
"""Levels of nesting that a value may have, as in :mod:`dagrun.domain.jsonvalue`."""

_INTEGERS: Final = range(-(2**63), 2**63)

_TABLE: Final = 150  # bytes of an empty table, and of what keeps it on the Python side
_ELEMENT: Final = 48  # bytes of an element while its table grows, with the old array beside
_MEMBER: Final = 160  # bytes of a member and its key in the same way
_NULLS: Final = 500  # bytes of what remembers the nulls of an array or object

VALUES: Final = r"""
local MAX_DEPTH = ...
local type, next, error, rawequal, rawlen = type, next, error, rawequal, rawlen
local format, gsub, find = string.format, string.gsub, string.find
local concat, sort, utf8_len, math_type = table.concat, table.sort, utf8.len, math.type
local setmetatable, metatable_of, tonumber = setmetatable, debug.getmetatable, tonumber
local rawget, rawset, raw_ipairs = rawget, rawset, ipairs
local huge = math.huge

-- Values that JSON cannot hold are told from other failures by this mark.
local MARK = "\1output\1"
local function refuse(text) error(MARK .. text, 0) end

local null = setmetatable({}, {
  __newindex = function() error("json.null cannot be changed", 2) end,
  __metatable = false, __name = "json.null", __tostring = function() return "null" end,
})
do  -- `x == json.null` is run as `x <= json.null`, and `~=` as `<`: see dagrun.domain.nulls
  local function is_null(value) return value == nil or rawequal(value, null) end
  local meta = metatable_of(null)
  meta.__le = function(a, b) return is_null(a) and is_null(b) end
  meta.__lt = function(a, b) return not (is_null(a) and is_null(b)) end
end
local ARRAY = {__metatable = false}
local function mark(t) return setmetatable(t, ARRAY) end

-- Object from JSON → the list of its members that are null.
local HIDDEN = setmetatable({}, {__mode = "k"})
local function hide(t, names) HIDDEN[t] = names return t end

-- An array with nulls is an empty table in front of its elements: nil is read where null is, and
-- the length counts it.
local ELEMENTS = {}
local function elements(t)
  local meta = metatable_of(t)
  return meta and type(t) == "table" and rawget(meta, ELEMENTS) or nil
end
local function length(t) return metatable_of(t).n end
local function assign(t, key, value)
  local meta = metatable_of(t)
  local n = meta.n
  rawset(meta[ELEMENTS], key, value)
  if value ~= nil and key == n + 1 then meta.n = n + 1
  elseif value == nil and key == n then meta.n = n - 1 end
end
local function step(t, i)
  i = i + 1
  if i <= length(t) then return i, t[i] end
end
local function step_over_nulls(t, i)
  local value
  repeat i, value = step(t, i or 0) until value ~= nil or i == nil
  return i, value
end
local function gapped(t, n)
  return setmetatable({}, {
    __metatable = false, __index = t, __newindex = assign, __len = length, n = n,
    __pairs = function(t) return step_over_nulls, t end, [ELEMENTS] = t,
  })
end
-- Lua's own ends at the first null.
local function ipairs(t)
  if elements(t) then return step, t, 0 end
  return raw_ipairs(t)
end
local function array(t)
  if t == nil then t = {} end
  if type(t) ~= "table" or rawequal(t, null) then
    error("json.array takes a table", 2)
  end
  local has = metatable_of(t)
  if has == ARRAY or elements(t) then return t end
  if has and has.__metatable ~= nil then error("json.array cannot change this table", 2) end
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
  local short = format("%.15g", n)
  if tonumber(short) ~= n then short = format("%.16g", n) end
  if tonumber(short) ~= n then short = format("%.17g", n) end
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

local function write_gapped(out, within, count, depth)
  for key in next, within do
    if math_type(key) ~= "integer" or key < 1 or key > count then
      refuse("a sparse table, or one with both indexes and names")
    end
  end
  write_array(out, within, count, depth)
end

local function write_table(out, t, depth)
  if depth > MAX_DEPTH then
    refuse("a table nested deeper than " .. MAX_DEPTH .. " levels, or one that contains itself")
  end
  local within, hidden = elements(t), HIDDEN[t]
  if within then return write_gapped(out, within, length(t), depth + 1) end
  local length, indexes, keys, names = rawlen(t), 0, nil, 0
  for key in next, t do
    if math_type(key) == "integer" and key >= 1 and key <= length then
      indexes = indexes + 1
    elseif type(key) == "string" then
      keys = keys or {}
      names = names + 1
      keys[names] = key
    else
      refuse("a sparse table, or one with a key that is no text but a " .. type(key))
    end
  end
  for i = 1, hidden and #hidden or 0 do
    if rawget(t, hidden[i]) == nil then
      keys = keys or {}
      names = names + 1
      keys[names] = hidden[i]
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
return {
  null = null, array = array, encode = encode, ipairs = ipairs, elements = elements, MARK = MARK,
  mark = mark, hide = hide, gapped = gapped,
}
"""
"""A chunk that takes the depth limit and gives a table: what code is given, and what makes values.

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


LONGEST_CHECKED: Final = 64 * 1024
"""Characters of code that are compiled only to see whether they compile.

Lua takes quadratic time for some chains of operators; a longer code is compiled in its worker.
"""


def syntax_problem(code: str) -> str | None:
    """Give what Lua says of code that does not compile, with the line; None if it does.

    Code longer than ``LONGEST_CHECKED`` is not looked at.
    """
    if len(code) > LONGEST_CHECKED:
        return None
    try:
        problem = _compiler()(code)
    except Exception as error:  # noqa: BLE001 — lupa's own: too long, no valid text
        problem = str(error)
    return None if problem is None else str(problem).removeprefix("code:")


def _deny(*_: object) -> None:
    raise AttributeError("Lua code cannot reach Python")


class Converter:
    """Makes Lua values of JSON values, in one runtime.

    Values are made outside of any call into Lua, where running out of memory would end the
    process. So the runtime's own limit must be off meanwhile, and this one holds.

    Args:
        runtime: the runtime.
        values: what ``VALUES`` gave there.
        room: bytes that the values made between two calls of :meth:`begin` may take.
    """

    def __init__(self, runtime: Any, values: Any, room: int) -> None:
        self._table = runtime.table_from
        self._mark, self._hide, self._gapped = values.mark, values.hide, values.gapped
        self._room = self._left = room

    def begin(self) -> None:
        """Count anew: what was made before is gone."""
        self._left = self._room

    def to_lua(self, value: Any) -> Any:
        """Give what Lua is to see.

        Raises:
            MemoryError: it takes more than there is room for.
            OverflowError: a number is beyond what a float can hold.
            UnicodeEncodeError: a string has a lone surrogate.
            TypeError: something that is no JSON value.
        """
        kind = type(value)
        if kind is bool or kind is float:
            return value
        if kind is str:
            self._take(len(value) if value.isascii() else 4 * len(value))
            return value
        if kind is int:
            return value if value in _INTEGERS else float(value)
        return None if value is None else self._container(value)

    def _container(self, value: Any) -> Any:
        to_lua = self.to_lua
        if isinstance(value, list | tuple):
            if None in value:
                return self._array_with_nulls(value)
            self._take(_TABLE + _ELEMENT * len(value))
            return self._mark(self._table([to_lua(element) for element in value]))
        if hasattr(value, "items"):
            self._take(_TABLE + _MEMBER * len(value) + 4 * sum(map(len, value)))
            table = self._table({key: to_lua(member) for key, member in value.items()})
            return self._with_nulls(table, value) if None in value.values() else table
        if isinstance(value, str):  # a subclass, such as an enumeration's member
            return to_lua(str(value))
        raise TypeError(f"a {type(value).__name__} is no JSON value")

    def _array_with_nulls(self, value: Sequence[Any]) -> Any:
        self._take(_TABLE + _MEMBER * len(value) + _NULLS)
        elements = {i: self.to_lua(value[i - 1]) for i in range(1, len(value) + 1)}
        return self._gapped(self._table(elements), len(value))

    def _with_nulls(self, table: Any, value: Mapping[str, Any]) -> Any:
        self._take(_NULLS)
        return self._hide(table, self._table([key for key in value if value[key] is None]))

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise MemoryError(f"the values need more than {self._room} bytes of memory")

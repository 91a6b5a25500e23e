-- What node code finds in Lua, and how it is run. Takes what dagrun.domain.lua.VALUES gives; gives
-- the function that runs a node's code and returns the kind of its end and the text that goes with it.
local values = ...
local null, encode, MARK, elements = values.null, values.encode, values.MARK, values.elements
local type, error, select, tostring, raw_next, rawget = type, error, select, tostring, next, rawget
local raw_pcall, raw_setmetatable, load = pcall, setmetatable, load
local raw_create, raw_resume, raw_close = coroutine.create, coroutine.resume, coroutine.close
local status = coroutine.status
local sethook, clock, stdout = debug.sethook, os.clock, io.stdout
local metatable_of = debug.getmetatable
local concat, pack, gsub, utf8_len = table.concat, table.pack, string.gsub, utf8.len

local STEP = 10000  -- instructions between two looks at the clock, some 50 µs
local deadline, expired
local TIMEOUT = "\1timeout\1"
local function watch()
  if expired or clock() > deadline then
    expired = true
    sethook(watch, "", 1)  -- whatever catches the error is interrupted again
    error(TIMEOUT, 0)
  end
end

-- What catches errors must not swallow the end of the time.
local function checked(...)
  if expired then error(TIMEOUT, 0) end
  return ...
end
local function safe_pcall(...) return checked(raw_pcall(...)) end
-- Lua's own runs the handler inside the hook that raised, where no hook interrupts it.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  local _, problem = safe_pcall(handler, ...)
  return false, problem
end
local function safe_xpcall(f, handler, ...) return handled(handler, safe_pcall(f, ...)) end
local function create(f)
  local thread = raw_create(f)
  if deadline then sethook(thread, watch, "", STEP) end
  return thread
end
-- In a thread that the end of the time killed, hooks stay off: its __close could run for ever.
local function close(thread)
  checked()
  return raw_close(thread)
end
local function resume(...) return checked(raw_resume(...)) end
local function unwrapped(thread, ok, ...)
  if ok then return ... end
  close(thread)
  error((...), 0)
end
local function wrap(f)
  local thread = create(f)
  return function(...) return unwrapped(thread, resume(thread, ...)) end
end
-- A finalizer would run after the node's end.
local function safe_setmetatable(t, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
    error("setmetatable: __gc is not available", 2)
  end
  return raw_setmetatable(t, meta)
end

local function next(t, key) return raw_next(elements(t) or t, key) end

local function line(...)
  local parts = pack(...)
  for i = 1, parts.n do parts[i] = tostring(parts[i]) end
  return concat(parts, "\t")
end
local function print(...) stdout:write(line(...), "\n") end
local function logger(level)
  return function(...) stdout:write(level, " ", (gsub(line(...), "\n", "\\n")), "\n") end
end

local function copy(library, without)
  local out = {}
  for name, value in raw_next, library do
    if not without[name] then out[name] = value end
  end
  return out
end
local threads = copy(coroutine, {})
threads.create, threads.resume, threads.wrap, threads.close = create, resume, wrap, close
local strings = copy(string, {dump = true})
debug.getmetatable("").__index = strings

local ENV = {
  assert = assert, error = error, getmetatable = getmetatable, ipairs = values.ipairs, next = next,
  pairs = pairs, pcall = safe_pcall, print = print, rawequal = rawequal, rawget = rawget,
  rawlen = rawlen, rawset = rawset, select = select, setmetatable = safe_setmetatable,
  tonumber = tonumber, tostring = tostring, type = type, xpcall = safe_xpcall,
  coroutine = threads, math = math, string = strings, table = table, utf8 = utf8,
  json = {null = null, array = values.array, encode = encode},
  log = {info = logger("INFO"), warn = logger("WARN"), error = logger("ERROR")},
  _VERSION = _VERSION,
}
ENV._G = ENV

-- May call what the author wrote (__tostring), so it runs where the hook watches.
local function described(value)
  if type(value) == "table" then
    local ok, text = raw_pcall(encode, value)
    local meta = metatable_of(value)
    if type(meta) == "table" and rawget(meta, "__tostring") then ok, text = safe_pcall(tostring, value) end
    value = ok and text or "an error that is a table"
  end
  local text = type(value) == "string" and value or "an error that is a " .. type(value)
  if not utf8_len(text) then text = gsub(text, "[\128-\255]", "?") end
  return text
end
local function failed(value)
  if expired then return "timeout", "" end
  local text = described(value)
  if text == "not enough memory" then return "memory", "" end
  if text:sub(1, #MARK) == MARK then return "output", "it returns " .. text:sub(#MARK + 1) end
  return "lua", text
end

local function body(code)
  local value = code()
  if value == nil then return "{}" end
  if type(value) ~= "table" or rawequal(value, null) then
    local kind = rawequal(value, null) and "json.null" or "a " .. type(value)
    error(MARK .. kind .. ", not a table", 0)
  end
  return encode(value)
end
local function ended(ok, value)
  if ok then return "done", value end
  return failed(value)
end
local function work(code) return ended(raw_pcall(body, code)) end

return function(source, name, seconds, inputs, nodes, run, env, item, item_index, secrets)
  ENV.inputs, ENV.nodes, ENV.run, ENV.env = inputs, nodes, run, env
  ENV.item, ENV.item_index, ENV.secrets = item, item_index, secrets or {}
  stdout:setvbuf("line")
  local code, problem = load(source, "=" .. name, "t", ENV)
  if not code then return "lua", described(problem) end
  if seconds then deadline = clock() + seconds end
  -- Hooks belong to threads: in one of its own the code leaves none behind here.
  local thread = create(work)
  local ok, kind, text = raw_resume(thread, code)
  stdout:flush()
  if expired then return "timeout", "" end
  if not ok then return "lua", type(kind) == "string" and described(kind) or "an error in an error" end
  if status(thread) ~= "dead" then return "lua", "the code yields, but it is no coroutine" end
  return kind, text
end

"""dagrun: durable workflows of Lua, shell and Python nodes, in one small program."""

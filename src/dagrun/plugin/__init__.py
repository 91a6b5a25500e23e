"""How plugins join: hooks, one typed shelf a kind, and loading through entry points."""

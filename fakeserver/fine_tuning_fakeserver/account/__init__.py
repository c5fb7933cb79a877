"""State: records in, account out."""

ACCOUNTS_AT_MOST = 10_000
"""How many accounts a server keeps besides ``main`` by default. A name costs nothing, and an account some memory."""

"""The ledger: everything that the fake answers, each with what backs it."""

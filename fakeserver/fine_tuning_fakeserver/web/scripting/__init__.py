"""Answers that a test has prepared, for whatever client asks: queues of items, and what an item means."""

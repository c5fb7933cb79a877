"""Play scripted answers: queues of items, and how an item becomes a response."""

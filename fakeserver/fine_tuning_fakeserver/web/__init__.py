"""Everything that touches HTTP: routes, forms, answers, doors."""

REQUEST_TIMEOUT_S = 30.0
"""Default of how many real seconds a request may take to come."""

DEFAULT_PORT = 4355
"""The port of `serve`, unless another is chosen."""

"""Everything that touches HTTP: routes, forms, answers, doors."""

REQUEST_TIMEOUT_S = 30.0
"""Default of how many real seconds a request may take to come."""

DEFAULT_PORT = 4355
"""The port of `serve`, unless another is chosen."""

PAGE_PATH = "/_fake/ui"
"""The path below which the page that shows an account is, with the views that it reads."""


def is_page_path(path: str) -> bool:
    """Return whether a path, which may begin with an account's root, is the page's: it is asked for every second."""
    root, found, _ = path.partition(f"{PAGE_PATH}/")
    return bool(found) and (not root or (root.startswith("/accounts/") and root.count("/") == 2))


OBSERVED_KEY = "fine_tuning_fakeserver.observed"
"""Where a request's ``scope["state"]`` may have a dictionary, in which the application notes operation and account."""

DRAIN_S = 8.0
"""How many real seconds `serve` has, by default, to end what is under way: less than the 10 s that Docker gives."""

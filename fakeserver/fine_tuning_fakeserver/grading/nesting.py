"""How deeply a JSON value may be nested."""

from __future__ import annotations

from typing import Any

import orjson


def is_writable(value: Any) -> bool:
    """Return whether a JSON value can be written again, six levels deeper: orjson reads more nesting than it writes."""
    try:
        orjson.dumps([[[[[[value]]]]]])
    except orjson.JSONEncodeError:
        return False
    return True

"""Virtual time: waits of a test cost no real time, and move the fake's clock by what was waited.

The rule: time jumps to the earliest deadline only when every thread that belongs to the test is in a recognised wait,
and no connection to the fake has anything under way. In every other case a wait goes on in real time; none ends early.

`scheduler` has the rule, `callers` whose wait it is, `patches` what is replaced while a test lasts; `event_loop`,
`threads`, `locks` and `trio_clock` recognise waits.
"""

from __future__ import annotations

from .patches import remove_patches, sleep, virtual_time
from .scheduler import RealWait, VirtualTime

__all__ = ["RealWait", "VirtualTime", "remove_patches", "sleep", "virtual_time"]

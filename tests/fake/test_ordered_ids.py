"""Ids in the order of lists, and by what is true of each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver.account.ordered_ids import IdIndex, OrderedIds

STEP = st.tuples(st.sampled_from(["add", "remove", "ask"]), st.integers(0, 9), st.integers(0, 3))
STEPS = st.lists(STEP, max_size=40)


@given(STEPS, st.dictionaries(st.integers(0, 9), st.frozensets(st.integers(0, 3), max_size=2)))
def test_ids_by_key_are_those_of_all_ids_that_have_it(
    steps: list[tuple[str, int, int]], keys: dict[int, frozenset[int]]
) -> None:
    """Ids that are collected by a key are others than those that have it, or in another order."""
    every, present = OrderedIds(), set[str]()
    index: IdIndex[int] = IdIndex(every, lambda identifier: keys.get(int(identifier), frozenset()))
    for step, number, moment in steps:
        identifier = str(number)
        if step == "add" and identifier not in present:
            every.add(identifier, moment)
            index.add(identifier)
            present.add(identifier)
        elif step == "remove" and identifier in present:
            index.remove(identifier)
            every.remove(identifier)
            present.discard(identifier)
        for key in range(4) if step == "ask" else ():
            wanted = [each for each in every if key in keys.get(int(each), frozenset())]
            assert list(index.ids(key)) == wanted
            assert index.count(key) == len(index.ids(key)) == len(wanted)
            assert index.ids(key).page(None, 2)[0] == wanted[::-1][:2]


def test_unknown_keys_are_not_kept() -> None:
    """Asking for keys that no id has takes memory."""
    index: IdIndex[str] = IdIndex(OrderedIds(), lambda _: ())
    assert len(index.ids("any")) == 0
    assert not index._collected

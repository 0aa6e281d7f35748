"""Results in memory: the same bytes, and never more than the bound."""

from __future__ import annotations

from stream.results import MemoryKeeper


async def test_what_is_put_is_found_until_it_is_dropped() -> None:
    """The bytes last put under a name are found under it."""
    keeper = MemoryKeeper(10)
    await keeper.put("a", b"old")
    await keeper.put("a", b"new")
    assert (await keeper.get("a"), await keeper.get("b")) == (b"new", None)
    await keeper.drop("a")
    await keeper.drop("a")
    assert await keeper.get("a") is None


async def test_the_longest_unused_goes_first() -> None:
    """Past the bound what was used longest ago goes, and a replaced one counts once."""
    keeper = MemoryKeeper(10)
    for name in "aabc":
        await keeper.put(name, b"123")
    await keeper.get("a")
    await keeper.put("d", b"4444")
    assert [await keeper.get(name) for name in "abcd"] == [b"123", None, b"123", b"4444"]


async def test_more_than_the_bound_drives_nobody_out() -> None:
    """A result that is larger than the bound is not kept, and the others stay."""
    keeper = MemoryKeeper(10)
    await keeper.put("a", b"123")
    await keeper.put("b", bytes(11))
    assert [await keeper.get(name) for name in "ab"] == [b"123", None]
    keeper.close()
    assert await keeper.get("a") is None

"""What the client leaves behind when it is stopped in the midst of something."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import pytest

from stream.log import kafka_client
from stream.log.kafka_client import Member
from stream.log.kafka_settings import KafkaSettings


class Consumer:
    """A consumer whose commits are answered by an error when it is stopped, as aiokafka's are."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.stopped = asyncio.Event()

    async def committed(self, _place: object) -> int:
        """Give some offset."""
        return 7

    async def commit(self, _offsets: object) -> None:
        """Ask again and again, each time in a task that a cancelled caller leaves to itself."""
        while True:
            with contextlib.suppress(OSError):
                await asyncio.shield(self._asked())
            await asyncio.sleep(0.01)

    async def _asked(self) -> None:
        self.asked.set()
        await self.stopped.wait()
        raise OSError("the generation is over")

    async def stop(self) -> None:
        """Have all that was asked fail."""
        self.stopped.set()


def test_a_member_that_leaves_in_the_midst_of_a_proof_leaves_no_error_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a proof was asking when its member left is looked at by somebody."""
    unseen: list[dict[str, Any]] = []

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unseen.append(what))
        client = Consumer()
        monkeypatch.setattr(kafka_client, "consumer", lambda *_, **__: client)
        member = Member(KafkaSettings("nowhere:9"), "warps", lambda _: None, lambda: None)
        proof = asyncio.ensure_future(member.prove(0))
        await client.asked.wait()
        await member.stop()
        with pytest.raises(asyncio.CancelledError):
            await proof
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(play())
    assert unseen == []

"""Calls on one key come to what they would one after the other, whatever is batched."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from lionagi_qe.persistence.scheduling import batcher as batching
from lionagi_qe.persistence.scheduling.batch import Channel
from lionagi_qe.persistence.scheduling.batcher import Batcher

if TYPE_CHECKING:
    from collections.abc import Sequence

# A few that many calls want, and enough others to make large batches.
KEYS = [f"k{number}" for number in range(40)]


@dataclass(frozen=True)
class Step:
    """A call: reads or writes one key, or several at once; ``turns`` pass before the next."""

    keys: tuple[str, ...]
    writes: bool
    cancelled: bool
    turns: int


# Every second key is one of the first three.
KEYS_TWICE = [name for pair in zip(KEYS, KEYS[:3] * len(KEYS), strict=False) for name in pair]


def step(manner: int, names: int) -> Step:
    """Read a step off two numbers; zeros are the simplest one."""
    manner, writes = divmod(manner, 2)
    manner, leaves = divmod(manner, 6)
    count, turns = divmod(manner, 6)
    # Three digits, of which the first ones count.
    drawn = (names, names // len(KEYS_TWICE), names // len(KEYS_TWICE) ** 2)
    keys = (KEYS_TWICE[digit % len(KEYS_TWICE)] for digit in drawn[: count + 1])
    return Step(tuple(dict.fromkeys(keys)), bool(writes), leaves == 5, (0, 0, 0, 0, 1, 3)[turns])


# Hypothesis took seven times as long to draw each part by itself as the batcher took with them. It
# draws numbers of up to 24 bits evenly.
steps = st.builds(step, st.integers(0, 3 * 6 * 6 * 2 - 1), st.integers(0, len(KEYS_TWICE) ** 3 - 1))


@dataclass
class Server:
    """Applies a batch's calls in order, each batch after some turns of the loop."""

    delays: list[int]
    entries: dict[str, int] = field(default_factory=dict[str, int])
    batches: int = 0

    async def perform(self, items: list[Any]) -> Sequence[Any]:
        self.batches += 1
        for _ in range(self.delays[self.batches % len(self.delays)]):
            await asyncio.sleep(0)
        return [self.apply(item) for item in items]

    async def perform_one(self, item: Any) -> Any:
        (answer,) = await self.perform([item])
        return answer

    def apply(self, item: tuple[tuple[str, ...], int]) -> list[int]:
        keys, number = item
        if number:
            self.entries.update(dict.fromkeys(keys, number))
        return [self.entries.get(key, 0) for key in keys]


async def send(batcher: Batcher, channel: Channel, step: Step, number: int) -> Any:
    deadline = asyncio.get_running_loop().time() + 30
    item = (step.keys, number if step.writes else 0)
    await batcher.admit(deadline)
    first, *others = step.keys
    if others:
        return await batcher.submit_atomic(channel, item, step.keys, deadline)
    return await batcher.submit(channel, item, first, deadline)


def cancel_all(tasks: list[asyncio.Task[Any]]) -> None:
    while tasks:
        tasks.pop().cancel()


async def play(script: list[Step], delays: list[int], max_calls: int, *, eager: bool) -> None:
    if eager and sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    server, batcher = Server(delays), Batcher()
    channel = partial(
        Channel,
        server.perform,
        max_batches=2,
        max_calls=max_calls,
        execute_atomic=server.perform_one,
    )
    reads, writes = channel(mutates=False), channel(mutates=True)
    tasks: list[asyncio.Task[Any]] = []
    leaving: list[asyncio.Task[Any]] = []
    for number, step in enumerate(script, 1):
        wanted = writes if step.writes else reads
        tasks.append(asyncio.create_task(send(batcher, wanted, step, number)))
        if step.cancelled:
            leaving.append(tasks[-1])
        for turn in range(step.turns):
            await asyncio.sleep(0)
            if not turn:
                # Once they were made: a call that nobody makes has no place in the order.
                cancel_all(leaving)
    await asyncio.sleep(0)
    cancel_all(leaving)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.close()
    assert batcher.limiter.free
    check(script, answers, server.entries)


def check(script: list[Step], answers: list[Any], entries: dict[str, int]) -> None:
    # What each key may hold: the last write's number, and those of cancelled ones since.
    possible: dict[str, set[int]] = {key: {0} for key in KEYS}
    for number, (step, answer) in enumerate(zip(script, answers, strict=True), 1):
        gone = isinstance(answer, asyncio.CancelledError)
        for at, key in enumerate(step.keys):
            if step.writes:
                possible[key] = (possible[key] if gone else set()) | {number}
            if not gone:
                assert answer[at] in possible[key], (number, key, answer)
    for key, numbers in possible.items():
        assert entries.get(key, 0) in numbers


@given(
    # Lists without a least size are short most of the time.
    script=st.lists(steps, min_size=20, max_size=120),
    delays=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    max_calls=st.sampled_from([2, 5, 512]),
    min_share=st.sampled_from([1, 16]),
    eager=st.booleans(),
)
@settings(max_examples=400)
def test_calls_on_one_key_come_to_what_they_would_in_the_order_of_the_calls(
    script: list[Step], delays: list[int], max_calls: int, min_share: int, *, eager: bool
) -> None:
    # So that few calls are shared among batches, too.
    with (
        mock.patch.object(batching, "MIN_SHARED_BATCH", min_share),
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
    ):
        runner.run(play(script, delays, max_calls, eager=eager))

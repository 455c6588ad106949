"""What commands about one queue share: opening it where its memory is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.cli.ending import mention, run_until_told
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.nearest import meant
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.cli.options import MemoryChoice


def with_queue(
    choice: MemoryChoice,
    name: str,
    action: Callable[[WorkQueue], Awaitable[Any]],
    *,
    about_jobs: bool = True,
) -> Any:  # noqa: ANN401 - what the action returns
    """Return what ``action`` does with a queue; of one without jobs it is told, if they matter."""

    async def act() -> Any:  # noqa: ANN401
        async with choice.look() as memory:
            if about_jobs:
                known = await parts_of(memory).jobs.queues()
                if name not in known:
                    there = meant(name, known, "there are: ") if known else "there is none"
                    mention(f"aqe: no queue {name!r} has jobs; {there}")
            return await action(WorkQueue(memory, name))

    return run_until_told(act())

"""Batches of which not all could be applied: which of their calls are sent again, and how."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AqeError
from lionagi_qe.persistence.contract.refused import is_worth_retrying
from lionagi_qe.persistence.scheduling.batch import Batch
from lionagi_qe.persistence.scheduling.deadlines import expired
from lionagi_qe.persistence.scheduling.retry import retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.refused import PartlyRefused

# Seconds between two tries of what some of several servers refused.
_PAUSE = 0.1


async def resend_refused(batch: Batch, results: PartlyRefused, deadline: float) -> Sequence[Any]:
    """Send again what some servers surely did not apply; who has an answer gets it now."""
    while places := [at for at, result in enumerate(results) if is_worth_retrying(result)]:
        _complete_others(batch, results, places)
        pause = min(_PAUSE, deadline - asyncio.get_running_loop().time())
        if pause < _PAUSE:
            break
        await asyncio.sleep(pause)
        again = Batch(batch.channel)
        again.items = [batch.items[at] for at in places]
        try:
            found = await retry(again.execute, deadline)
        except AqeError as error:
            found = [error] * len(places)
        for at, result in zip(places, found, strict=True):
            results[at] = result
    return results


def _complete_others(batch: Batch, results: PartlyRefused, places: Sequence[int]) -> None:
    refused = {*places}
    known = Batch(batch.channel)
    # A call that its caller's own task executes has no future.
    for at, future in enumerate(batch.futures):
        if at not in refused:
            known.futures.append(future)
            known.items.append(results[at])
    known.complete(known.items)


async def execute_one_by_one(batch: Batch) -> list[Any]:
    """Execute each call by itself: the server refused the batch and applied none of it."""
    return [await _execute_one(call) for call in batch.calls()]


async def _execute_one(call: Batch) -> Any:  # noqa: ANN401 - the call's own result
    deadline = call.deadlines[0]
    try:
        async with asyncio.timeout_at(deadline):
            (result,) = await retry(call.execute, deadline)
    except AqeError as error:
        return error
    except TimeoutError:
        return expired(call, sent=True)
    return result

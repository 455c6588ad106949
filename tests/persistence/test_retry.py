"""Tries that surely changed nothing are repeated, and none is cut off."""

from __future__ import annotations

import asyncio

import pytest

from lionagi_qe.errors import BackendUnavailableError
from lionagi_qe.persistence.scheduling.retry import retry


@pytest.mark.parametrize("takes", [0.0, 0.05, 0.2])
async def test_no_try_is_begun_that_may_not_have_the_time_to_end(takes: float) -> None:
    """One that is cut off would have an unknown outcome, where nothing was changed for certain."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 1
    begun = ended = 0

    async def refused() -> None:
        nonlocal begun, ended
        begun += 1
        await asyncio.sleep(takes)
        ended += 1
        raise BackendUnavailableError("not now")

    with pytest.raises(BackendUnavailableError, match="not now"):
        async with asyncio.timeout_at(deadline):
            await retry(refused, deadline)
    assert begun == ended > 1

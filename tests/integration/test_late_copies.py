"""Times to live of what is copied are those of the source, however long storing takes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.persistence.transfer.copying import copy
from lionagi_qe.persistence.transfer.verify import compare
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from lionagi_qe.testing.faults import FaultProxy

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("policy", ["skip", "overwrite", "newer"])
async def test_what_is_stored_late_lives_no_longer_than_in_its_source(
    proxy: FaultProxy, policy: str
) -> None:
    async with (
        open_memory("memory://") as source,
        open_memory(proxy.url, fleet=f"late-{policy}", timeout=30) as target,
    ):
        await source.store_many({f"aqe/short/{at}": at for at in range(120)}, ttl=600)
        await source.store_many({f"aqe/long/{at}": at for at in range(5)})
        proxy.latency(2.0)
        copying = asyncio.create_task(copy(source, target, on_conflict=policy))
        await asyncio.wait([copying], timeout=0.5)
        assert not copying.done()
        # What was sent by now arrives late; what is sent from now on doesn't.
        proxy.pass_through()
        tally = await copying
        assert (tally.stored, tally.skipped) == (125, 0)
        found = await compare(source, target)
        assert found.equal, found.first


async def test_what_somebody_changed_meanwhile_is_left(proxy: FaultProxy, server_url: str) -> None:
    async with (
        open_memory("memory://") as source,
        open_memory(proxy.url, fleet="late-changed", timeout=30) as target,
        open_memory(server_url, fleet="late-changed", timeout=30) as others,
    ):
        await source.store("aqe/a", "copied", ttl=600)
        await target.store("aqe/b", 1)
        proxy.latency(2.0)
        copying = asyncio.create_task(copy(source, target, on_conflict="skip"))

        async def is_there() -> bool:
            return await others.retrieve("aqe/a") == "copied"

        # Long before the copy has its answer.
        await until(is_there)
        await others.store("aqe/a", "theirs", ttl=900)
        proxy.pass_through()
        await copying
        entry = await target.entry("aqe/a")
        assert entry is not None
        assert entry.value == "theirs"
        assert entry.expires_at is not None
        assert (entry.expires_at - entry.updated_at).total_seconds() > 800

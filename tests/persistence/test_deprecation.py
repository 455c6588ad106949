"""Arguments by the names that they had before."""

from __future__ import annotations

import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.deprecation import renamed


async def test_old_names_of_arguments_work_and_warn() -> None:
    async with open_memory("memory://") as memory:
        queue = WorkQueue(memory, "jobs")
        await queue.put_many([1, 2])
        with pytest.warns(DeprecationWarning, match="is called") as warned:
            jobs = await queue.claim(n=2, lease=5)  # pyright: ignore[reportCallIssue]
        assert [job.payload for job in jobs] == [1, 2]
        told = sorted(str(warning.message) for warning in warned)
        assert told == [
            "WorkQueue.claim: lease= is called lease_ttl= now",
            "WorkQueue.claim: n= is called limit= now",
        ]
        assert {warning.filename for warning in warned} == {__file__}
        await memory.store("aqe/a", 1)
        with pytest.warns(DeprecationWarning, match="page_size"):
            scan = memory.scan(batch=1)  # pyright: ignore[reportCallIssue]
        assert [entry.value async for entry in scan] == [1]


def test_both_names_at_once_are_refused() -> None:
    @renamed(old="new")
    def call(new: int = 0) -> int:
        return new

    assert call(1) == call(new=1) == 1
    with pytest.raises(TypeError, match="old= is the old name of new="):
        call(old=1, new=2)  # pyright: ignore[reportCallIssue]

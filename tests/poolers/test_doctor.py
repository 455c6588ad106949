"""What ``aqe doctor`` says of a memory behind PgBouncer, by its mode."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.programs import AQE, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.testing.servers import PgBouncer
    from lionagi_qe.testing.servers.pgbouncer import PoolMode

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_mode_that_works_is_fit_and_what_it_costs_is_told(
    pooler: Callable[[PoolMode], PgBouncer], mode: PoolMode
) -> None:
    done = await asyncio.to_thread(call, *AQE, "doctor", pooler(mode).url)
    assert done.code == 0, f"{done.output}{done.complaints}"
    assert "- a pooler answers" in done.output
    assert done.output.endswith("fit for use\n")


async def test_statement_mode_is_refused_in_one_line(
    pooler: Callable[[PoolMode], PgBouncer],
) -> None:
    done = await asyncio.to_thread(call, *AQE, "doctor", pooler("statement").url)
    assert done.code in {2, 3}
    assert len(done.complaints.splitlines()) == 1
    assert "pool_mode" in done.complaints

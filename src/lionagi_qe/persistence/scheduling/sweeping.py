"""Removing what has expired, by itself and when it is asked for."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from lionagi_qe.errors import AqeError, BackendUnavailableError
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.scheduling.direct import DirectCalls

SWEEP_BATCH = 1_000

_log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps a fleet's expired entries.

    Args:
        backend: removes them.
        fleet: its name, for what is logged.
        direct: makes the calls.
    """

    def __init__(self, backend: Backend, fleet: str, direct: DirectCalls) -> None:
        self._backend = backend
        self._fleet = fleet
        self._direct = direct

    async def sweep(self, deadline: float) -> int:
        """Remove all that has expired, batch by batch; return how many entries that were."""
        expired, more = 0, True
        while more:
            step = await self._direct.call(
                lambda: self._backend.sweep(SWEEP_BATCH), deadline, mutates=True
            )
            expired += step.expired
            more = step.more
        return expired

    async def sweep_now_and_then(self, interval: float, timeout: float) -> None:
        """Sweep every ``interval`` seconds, if no other member of the fleet does; never ends.

        Each sweep may take ``timeout`` seconds; what goes wrong is logged.
        """
        loop = asyncio.get_running_loop()
        while True:
            # Members that started together must not all knock at the same moment.
            await asyncio.sleep(interval * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                deadline = loop.time() + timeout
                if await self._direct.call(
                    lambda: self._backend.claim_sweep(int(interval * 1000)), deadline
                ):
                    await self.sweep(deadline)
            except BackendUnavailableError as error:
                _log.warning(
                    "sweep of fleet %r put off: %s",
                    self._fleet,
                    error,
                    extra=log_fields(fleet=self._fleet, error=error),
                )
            except AqeError as error:
                _log.exception(
                    "sweep of fleet %r failed",
                    self._fleet,
                    extra=log_fields(fleet=self._fleet, error=error),
                )

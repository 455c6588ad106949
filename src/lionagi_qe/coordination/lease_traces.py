"""What OpenTelemetry is told of leases: how long each was waited for and held, and which were lost.

There are no conventions for leases: names and attributes are ours. Renewals are not told of.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from lionagi_qe.telemetry import names

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lionagi_qe.telemetry import Telemetry
    from lionagi_qe.telemetry.recorder import Recorded, Recorder

_NOTHING: AbstractContextManager[None] = nullcontext()


class LeaseTraces:
    """The spans and metrics of one lease; nothing at all if nobody is told.

    Metrics don't have its name: there may be one for every file.

    Args:
        telemetry: who is told.
        fleet: whose lease it is.
        lease: its name.
    """

    def __init__(self, telemetry: Telemetry | None, fleet: str, lease: str) -> None:
        self._telemetry = telemetry
        self._attributes = {names.FLEET: fleet, names.LEASE: lease}

    @property
    def _recorder(self) -> Recorder | None:
        return None if self._telemetry is None else self._telemetry.recorder

    def acquiring(self) -> AbstractContextManager[Recorded | None]:
        """Tell that the lease is waited for within the block."""
        recorder = self._recorder
        if recorder is None:
            return _NOTHING
        return recorder.span(
            "acquire lease", self._attributes, duration=recorder.lease_wait, labels={}
        )

    def acquired(self, told: Recorded | None, token: int | None) -> None:
        """Tell whether it was acquired, and by which fencing token."""
        if told is not None:
            told.span.set_attribute(names.LEASE_ACQUIRED, token is not None)
            if token is not None:
                told.span.set_attribute(names.LEASE_FENCE, token)

    def releasing(self) -> AbstractContextManager[Recorded | None]:
        """Tell that the lease is given back within the block."""
        recorder = self._recorder
        return _NOTHING if recorder is None else recorder.span("release lease", self._attributes)

    def ended(self, seconds: float, *, lost: bool) -> None:
        """Tell that it was held for so long, and whether it was lost."""
        recorder = self._recorder
        if recorder is None:
            return
        recorder.lease_hold.record(seconds, {})
        if lost:
            recorder.leases_lost.add(1, {})

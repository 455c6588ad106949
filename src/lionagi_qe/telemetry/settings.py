"""Who is told what a memory does: the providers, and how jobs continue traces."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.extras import needs

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from lionagi_qe.telemetry.names import JobTraces
    from lionagi_qe.telemetry.recorder import Recorder

VARIABLE = "AQE_OTEL"
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})


class Telemetry:
    """Where the spans and metrics of memories go; ``open_memory(url, telemetry=Telemetry(...))``.

    What a memory is told once it is in use stays so: set global providers before its first call.

    Args:
        tracer_provider: makes spans; OpenTelemetry's global one if None.
        meter_provider: makes metrics; OpenTelemetry's global one if None.
        job_traces: how the span of a handler refers to that of the ``put``: "link", the handler
            begins a trace of its own that is linked to it, as the semantic conventions say, since a
            job may wait for hours and be tried several times; "parent", it is a part of that trace.

    Raises:
        ConfigurationError: opentelemetry-api is not installed.

    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        job_traces: JobTraces = "link",
    ) -> None:
        if importlib.util.find_spec("opentelemetry") is None:
            raise ConfigurationError(f"telemetry {needs('opentelemetry')}")
        if job_traces not in {"link", "parent"}:
            raise ConfigurationError(f"job_traces {job_traces!r}: is 'link' or 'parent'")
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider
        self._job_traces: JobTraces = job_traces
        self._recorder: Recorder | None = None

    @property
    def recorder(self) -> Recorder | None:
        """What records; None as long as neither provider is one that does."""
        if self._recorder is None:
            from lionagi_qe.telemetry.recorder import recorder_for

            self._recorder = recorder_for(
                self._tracer_provider, self._meter_provider, self._job_traces
            )
        return self._recorder


# One for all memories that use the global providers: instruments are made once.
_global: list[Telemetry] = []


def telemetry_for(asked: Telemetry | bool | None) -> Telemetry | None:  # noqa: FBT001 - a setting
    """Return what a memory's setting means: None is what ``$AQE_OTEL`` says, no by default.

    Raises:
        ConfigurationError: it is asked for and not installed, or the variable can't be understood.

    """
    if asked is None:
        asked = _wanted(os.environ.get(VARIABLE, ""))
    if isinstance(asked, Telemetry):
        return asked
    if not isinstance(asked, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"telemetry {asked!r}: is True, False or a Telemetry")
    if not asked:
        return None
    if not _global:
        _global.append(Telemetry())
    return _global[0]


def _wanted(text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise ConfigurationError(f"{VARIABLE}={text!r}: is 1 or 0")
    return word in _YES

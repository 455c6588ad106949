"""Spans and metrics by OpenTelemetry: what is told, and to whom; docs/observability.md lists it.

Nothing here imports OpenTelemetry until a memory is made that asks for it.
"""

from __future__ import annotations

from lionagi_qe.telemetry.settings import Telemetry, telemetry_for

__all__ = ["Telemetry", "telemetry_for"]

"""What an agent measured, with its source; or that it did not, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of one run.

    Attributes:
        name: what was measured, for example ``line_coverage``.
        value: JSON data; None unless measured.
        unit: of the value: ``tests``, ``%``, ``s``, ...
        measured: whether ``value`` was measured.
        reason: why it was not; None when it was.
        tool: the program that measured.
        version: of the tool; None where the tool never ran.
        command: how the tool was called.
        commit: the project's commit, with ``-dirty`` when the tree differed from it; None without
            version control.
        at: when, ISO 8601 in UTC.
    """

    name: str
    value: Any
    unit: str
    measured: bool
    reason: str | None
    tool: str
    version: str | None
    command: str | None
    commit: str | None
    at: str

    @property
    def measured_by(self) -> str:
        """Return the tools that measured it, each with its version where it is known."""
        tools = self.tool.split(" + ")
        versions = [] if self.version is None else self.version.split(" + ")
        if len(versions) != len(tools):
            return f"{self.tool} {self.version or ''}".strip()
        return ", ".join(f"{tool} {own}" for tool, own in zip(tools, versions, strict=True))


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from: the tool, its version, its call, and the commit it looked at."""

    tool: str
    version: str | None
    command: str | None
    commit: str | None

    def measured(self, name: str, value: Any, unit: str) -> Metric:  # noqa: ANN401 - JSON data
        """Return a figure that this source measured now."""
        return self._metric(name, value, unit, reason=None)

    def unmeasured(self, name: str, unit: str, reason: str) -> Metric:
        """Return that this source could not measure a figure, and why."""
        return self._metric(name, None, unit, reason=reason)

    def told(self, name: str, value: Any, unit: str, reason: str | None) -> Metric:  # noqa: ANN401
        """Return a figure that this source measured, unless there is a reason why it didn't."""
        return self._metric(name, None if reason is not None else value, unit, reason=reason)

    def _metric(self, name: str, value: Any, unit: str, reason: str | None) -> Metric:  # noqa: ANN401
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Metric(
            name=name,
            value=value,
            unit=unit,
            measured=reason is None,
            reason=reason,
            tool=self.tool,
            version=self.version,
            command=self.command,
            commit=self.commit,
            at=at,
        )

"""One benchmark from start to end: the rows, or a sweep over sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.bench.arenas import arena_at
from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.machine import describe_machine
from lionagi_qe.bench.measure import Effort, measure, prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lionagi_qe.bench.contender import Contender
    from lionagi_qe.bench.results import RowResult
    from lionagi_qe.bench.rows import Row
    from lionagi_qe.bench.workload import Workload


@dataclass(frozen=True, slots=True)
class Report:
    """All rows of one benchmark, with what they depend on."""

    backend: str
    server: dict[str, Any]
    machine: dict[str, Any]
    entries: int
    effort: Effort
    rows: list[RowResult]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        return {
            "backend": self.backend,
            "server": self.server,
            "machine": self.machine,
            "entries": self.entries,
            "rounds": self.effort.rounds,
            "seconds": self.effort.seconds,
            "rows": [result.as_json() for result in self.rows],
        }


async def run_rows(  # noqa: PLR0913 - keyword-only settings
    url: str,
    rows: Sequence[Row],
    load: Workload,
    effort: Effort,
    *,
    say: Callable[[str], None],
    kinds: Iterable[Kind] = Kind,
) -> Report:
    """Measure the rows on the server that ``url`` names, and leave nothing there.

    Raises:
        ConfigurationError: nothing is to be measured there.
        BackendUnavailableError: the server does not answer.

    """
    machine = describe_machine()
    async with (
        arena_at(url) as arena,
        prepared(arena, load, say, frozenset(kinds)) as contenders,
    ):
        server = await arena.describe()
        results = [
            await measure(row, contenders, load, effort, say)
            for row in rows
            if _can_ours(contenders, row)
        ]
    return Report(arena.backend, server, machine, load.entries, effort, results)


def _can_ours(contenders: Sequence[Contender], row: Row) -> bool:
    return any(
        contender.kind is Kind.OURS and contender.offers(row.call) for contender in contenders
    )

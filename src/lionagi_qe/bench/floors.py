"""A check against getting slower: ratios to the plain driver, measured now, beside floors."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.measure import Effort, measure
from lionagi_qe.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.bench.contender import Contender
    from lionagi_qe.bench.rows import Row
    from lionagi_qe.bench.workload import Workload

Floors = dict[str, dict[str, float]]
# A row that seems too slow is measured again, longer.
_SECOND_TRY = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row's ratio to the plain driver, beside the least that it must be."""

    row: Row
    floor: float
    ratios: tuple[float, ...]

    @property
    def passed(self) -> bool:
        """Whether the last try reached the floor."""
        return self.ratios[-1] >= self.floor


def load_floors(path: Path) -> Floors:
    """Read ``{backend: {row: least ratio to the plain driver}}``."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path}: no floors can be read ({error})"
        raise ConfigurationError(msg) from error


async def check_floors(  # noqa: PLR0913 - what measure takes, and the floors
    rows: Sequence[Row],
    floors: Mapping[str, float],
    contenders: Sequence[Contender],
    load: Workload,
    effort: Effort,
    *,
    say: Callable[[str], None],
) -> list[Verdict]:
    """Measure the rows that have a floor; one that stays below is measured once more, longer."""
    verdicts: list[Verdict] = []
    for row in rows:
        if row.name not in floors:
            continue
        verdict = Verdict(row, floors[row.name], ())
        for tries in (effort, replace(effort, rounds=effort.rounds * _SECOND_TRY)):
            result = await measure(row, contenders, load, tries, say)
            ours = result.of(Kind.OURS)
            ratio = None if ours is None else result.to_driver(ours)
            if ratio is None:
                msg = f"{row.name}: our memory and a plain driver must both take part"
                raise ConfigurationError(msg)
            verdict = replace(verdict, ratios=(*verdict.ratios, ratio))
            if verdict.passed:
                break
        verdicts.append(verdict)
    return verdicts


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a plain table, the failed ones marked."""
    lines = [f"{'row':<18}{'floor':>8}{'first':>8}{'again':>8}"]
    for verdict in verdicts:
        tries = "".join(f"{ratio:>8.2f}" for ratio in verdict.ratios)
        mark = "" if verdict.passed else "   TOO SLOW"
        lines.append(f"{verdict.row.name:<18}{verdict.floor:>8.2f}{tries:<16}{mark}")
    return "\n".join(lines)

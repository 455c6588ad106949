"""Since which run a gap of coverage exists.

``aqe/untested/<project>`` holds of each gap of the last run that measured coverage how many lines
it missed, and since which run it misses that many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import InvalidValueError
from lionagi_qe.fleet import serialization
from lionagi_qe.fleet.comparison import Since
from lionagi_qe.fleet.key_segments import project_segment
from lionagi_qe.fleet.new_gaps import gaps_of, is_new, missed_lines, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.persistence import Memory

    Known = Mapping[tuple[str, str], tuple[int, Since]]

_SCHEMA = 1


class UntestedSince:
    """The gaps of one project, each with its beginning.

    Args:
        memory: where they are kept.
        project: the project's name.
    """

    def __init__(self, memory: Memory, project: str) -> None:
        self._memory = memory
        self._key = f"aqe/untested/{project_segment(project)}"

    async def add(self, run: str, gaps: Metric) -> dict[str, Since]:
        """Note the gaps of a run; return each, as it is named, with since when. A read, a write.

        The first run that does so knows of none that they were there before.
        """
        stored = await self._memory.retrieve(self._key)
        known, again = _known(stored), bool(stored) and stored.get("run") == run
        found: dict[tuple[str, str], tuple[int, Since]] = {}
        told: dict[str, Since] = {}
        for gap in gaps_of(gaps.value):
            place, missed = (gap["file"], gap["function"]), missed_lines(gap)
            past = known.get(place)
            since = Since(run, gaps.commit, 1)
            if past is not None and not is_new(gap, {place: past[0]}):
                since = past[1] if again else past[1].one_more()
            found[place] = missed, since
            told[named(gap)] = since
        rows = [[*place, missed, since] for place, (missed, since) in found.items()]
        value = {"schema": _SCHEMA, "run": run, "packed": serialization.packed(rows)}
        await self._memory.store(self._key, value, ttl=None)
        return told


def _known(stored: Any) -> Known:  # noqa: ANN401 - as kept
    """Return what is kept; nothing where another version wrote it, or it is damaged."""
    if not stored or stored.get("schema") != _SCHEMA:
        return {}
    try:
        rows: list[tuple[str, str, int, Since]] = serialization.unpacked(stored["packed"])
    except InvalidValueError:
        return {}
    return {(file, function): (missed, since) for file, function, missed, since in rows}

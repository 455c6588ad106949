"""The last map of tests to lines of a project, in its memory: an entry a file, and an index.

``aqe/maps/<project>/files/<file>`` holds a file of the map, ``aqe/maps/<project>/index`` which run
measured it, at which commit, and the names of files and tests. The index is written last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.line_map import TestMap, as_entry, of_entry
from lionagi_qe.fleet.key_segments import project_segment, segment

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

_BATCH = 100


class Maps:
    """The map of one project.

    Args:
        memory: where it is kept.
        project: the project's name.
    """

    def __init__(self, memory: Memory, project: str) -> None:
        self._memory = memory
        self._root = f"aqe/maps/{project_segment(project)}"

    async def store(self, run: str, test_map: TestMap) -> None:
        """Replace the map; costs a write for each 100 files."""
        entries = {
            self._key(file): {"run": run, **as_entry(file, mapped)}
            for file, mapped in test_map.files.items()
        }
        keys = list(entries)
        for start in range(0, len(keys), _BATCH):
            await self._memory.store_many(
                {key: entries[key] for key in keys[start : start + _BATCH]}, ttl=None
            )
        index = {
            "run": run,
            "commit": test_map.commit,
            "files": sorted(test_map.files),
            "tests": sorted(test_map.tests),
        }
        await self._memory.store(f"{self._root}/index", index, ttl=None)
        kept = await self._memory.list_keys(f"{self._root}/files/")
        await self._memory.delete_many([key for key in kept if key not in entries])

    async def retrieve(self) -> TestMap | None:
        """Return the map; None if there is none, or if another run is replacing it right now."""
        index: dict[str, Any] | None = await self._memory.retrieve(f"{self._root}/index")
        if index is None:
            return None
        entries = {
            entry.value["file"]: entry.value
            async for entry in self._memory.scan(f"{self._root}/files/", page_size=_BATCH)
        }
        wanted: list[str] = index["files"]
        if any(entries.get(file, {}).get("run") != index["run"] for file in wanted):
            return None
        files = {file: of_entry(entries[file]) for file in wanted}
        return TestMap(index["commit"], frozenset(index["tests"]), files)

    def _key(self, file: str) -> str:
        return f"{self._root}/files/{segment(file)}"

"""How the functions of a project's tests read when these last ran.

``aqe/sources/<project>/<file>`` holds a test file's digest, if all of its functions are those of
that time, and the digest of each function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.function_digests import digest_of, function_digests, function_of
from lionagi_qe.fleet.key_segments import project_segment, segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lionagi_qe.persistence import Memory


class TestSources:
    """The test files of one project.

    Args:
        memory: where they are kept.
        project: the project's name.
    """

    __test__ = False

    def __init__(self, memory: Memory, project: str) -> None:
        self._memory = memory
        self._root = f"aqe/sources/{project_segment(project)}"

    async def retrieve(self) -> dict[str, dict[str, Any]]:
        """Return file -> its digest and those of its functions; costs a scan."""
        return {
            entry.value["file"]: entry.value async for entry in self._memory.scan(f"{self._root}/")
        }

    async def add(self, root: Path, tests: Sequence[str], began: float) -> None:
        """Keep how the functions of tests that ran read; costs a scan and a write.

        Args:
            root: the directory that the tests' names are relative to.
            tests: their names.
            began: when they were read, in seconds since 1970: what was written since did not run.

        """
        known = await self.retrieve()
        functions: dict[str, set[str]] = {}
        for test in tests:
            functions.setdefault(test.partition("::")[0], set()).add(function_of(test))
        changed: dict[str, Any] = {}
        for file, ran in functions.items():
            path = root / file
            if not path.is_file() or path.stat().st_mtime >= began:
                continue
            text = path.read_bytes().decode(errors="surrogateescape")
            before: dict[str, Any] = known.get(file, {"digest": "", "functions": {}})
            if digest_of(text) != before["digest"]:
                changed[f"{self._root}/{segment(file)}"] = _entry(file, text, ran, before)
        if changed:
            await self._memory.store_many(changed, ttl=None)


def _entry(file: str, text: str, ran: set[str], before: dict[str, Any]) -> dict[str, Any]:
    now = function_digests(text)
    functions = {**before["functions"], **{name: now[name] for name in now if name in ran}}
    functions = {name: digest for name, digest in functions.items() if name in now}
    # Others, fixtures too, are left out of account: only what is known must be of now.
    is_current = all(now[name] == digest for name, digest in functions.items())
    return {"file": file, "digest": digest_of(text) if is_current else "", "functions": functions}

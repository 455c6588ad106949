"""What a run has done so far, in the memory, so that another process can go on with it.

``aqe/work/<project>/<run>/record`` tells what was asked for, ``.../results/<task>`` what came of a
task that ended, ``.../parts/<agent>`` into how many tasks an examination was divided, and
``.../open`` is there for as long as workers may take tasks of the run. All of it goes when the
run ends, or after a day.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import RevisionConflictError, UntrustedResultError
from lionagi_qe.fleet import serialization
from lionagi_qe.fleet.blobs import TTL_SECONDS, Blobs
from lionagi_qe.fleet.commander import Carried
from lionagi_qe.fleet.key_segments import project_segment, segment
from lionagi_qe.fleet.result_signatures import RECORD

if TYPE_CHECKING:
    from lionagi_qe.fleet.result_signatures import ResultSignatures
    from lionagi_qe.persistence import Memory

# What is longer travels as a blob, which is cut into pieces.
LONGEST_TEXT = 512 * 1024


class Checkpoint:
    """The checkpoint of one run.

    Args:
        memory: where it is kept.
        project: the project's name.
        run: the run's id.
        signatures: of what it keeps.
    """

    def __init__(
        self, memory: Memory, project: str, run: str, signatures: ResultSignatures
    ) -> None:
        self._memory = memory
        self._blobs = Blobs(memory)
        self.project = project
        self.run = run
        self.signatures = signatures
        self._root = f"{_root(project)}/{segment(run)}"

    async def begin(self, record: dict[str, Any]) -> None:
        """Note what the run is asked for."""
        signed = self.signatures.signed(self._place(RECORD), record)
        await self._memory.store(f"{self._root}/record", signed, ttl=TTL_SECONDS)

    def trusted_record(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return what the run is asked for, as ``unfinished`` found it.

        Raises:
            UntrustedResultError: whoever noted it is not trusted.

        """
        return self.signatures.trusted(self._place(RECORD), record)

    async def divide(self, agent: str, parts: int) -> int:
        """Note that an examination goes in so many parts; return in how many it went before."""
        signed = self.signatures.signed(self._place(_parts_of(agent)), {"parts": parts})
        with contextlib.suppress(RevisionConflictError):
            await self._memory.store(self._parts(agent), signed, ttl=TTL_SECONDS, if_revision=0)
        return await self.parts(agent) or parts

    async def parts(self, agent: str) -> int | None:
        """Return into how many parts an examination was divided; None if it was not.

        What nobody who is trusted noted is as if it were not there.
        """
        value = await self._memory.retrieve(self._parts(agent))
        own = None if value is None else self._believed(_parts_of(agent), value)
        return None if own is None else own["parts"]

    async def keep(self, task: str, carried: Carried, spent: float) -> None:
        """Note what came of a task; the first one to say so who is trusted counts.

        Args:
            task: which one.
            carried: what came of it.
            spent: seconds of the run's time that had passed.

        """
        value: dict[str, Any] = {"seconds": carried.seconds, "spent": spent}
        text = serialization.packed(carried.findings)
        if len(text) <= LONGEST_TEXT:
            value["packed"] = text
        else:
            value["blob"] = await self._blobs.put(text.encode())
        signed = self.signatures.signed(self._place(task), value)
        try:
            await self._memory.store(self._result(task), signed, ttl=TTL_SECONDS, if_revision=0)
        except RevisionConflictError:
            await self._replace_untrusted(task, signed)

    async def _replace_untrusted(self, task: str, signed: dict[str, Any]) -> None:
        found = await self._memory.entry(self._result(task))
        if found is None or self._is_trusted(task, found.value):
            return
        with contextlib.suppress(RevisionConflictError):
            await self._memory.store(
                self._result(task), signed, ttl=TTL_SECONDS, if_revision=found.revision
            )

    async def kept(self, task: str) -> Carried | None:
        """Return what came of a task; None if it did not end yet.

        Raises:
            UntrustedResultError: somebody without a key, or of another task or run, says so.

        """
        value = await self._memory.retrieve(self._result(task))
        if value is None:
            return None
        value = self.signatures.trusted(self._place(task), value)
        text = value.get("packed") or (await self._blobs.get(value["blob"])).decode()
        return Carried(serialization.unpacked(text), value["seconds"])

    async def has(self, task: str) -> bool:
        """Whether a task ended, by the word of somebody who is trusted."""
        value = await self._memory.retrieve(self._result(task))
        return value is not None and self._is_trusted(task, value)

    async def spent(self) -> float:
        """Return how much of its time the run had used when its last task ended; seconds."""
        prefix = f"{self._root}/results/"
        results = await self._memory.search(f"{_escaped(prefix)}*")
        return max(
            (
                value["spent"]
                for key, value in results.items()
                if self._is_trusted(key.removeprefix(prefix), value)
            ),
            default=0.0,
        )

    async def open(self) -> None:
        """Let workers take tasks of the run."""
        await self._memory.store(f"{self._root}/open", {"run": self.run}, ttl=TTL_SECONDS)

    async def is_open(self) -> bool:
        """Whether workers may take, and go on with, tasks of the run."""
        return await self._memory.exists(f"{self._root}/open")

    async def shut(self) -> None:
        """Let workers drop the tasks of the run."""
        await self._memory.delete(f"{self._root}/open")

    async def end(self) -> None:
        """Forget the run: its results are kept elsewhere by now."""
        # What tells of it first, so that half of it is never resumed.
        await self._memory.delete(f"{self._root}/record")
        await self._memory.delete_many(await self._memory.list_keys(f"{self._root}/"))

    def _is_trusted(self, task: str, value: Any) -> bool:  # noqa: ANN401 - from the memory
        return self._believed(task, value) is not None

    def _believed(self, task: str, value: Any) -> dict[str, Any] | None:  # noqa: ANN401 - likewise
        """Return what was kept; None if nobody who is trusted did so."""
        try:
            return self.signatures.trusted(self._place(task), value)
        except UntrustedResultError:
            return None

    def _place(self, task: str) -> tuple[str, str, str]:
        return self.project, self.run, task

    def _parts(self, agent: str) -> str:
        return f"{self._root}/parts/{agent}"

    def _result(self, task: str) -> str:
        return f"{self._root}/results/{task}"


def _parts_of(agent: str) -> str:
    """Return the name under which the number of parts is signed; no task has such a one."""
    return f"/parts/{agent}"


async def unfinished(memory: Memory, project: str) -> dict[str, Any] | None:
    """Return the record of the last run of a project that did not end; None if all did.

    Costs a scan of the names under which such runs keep things.

    Raises:
        UntrustedResultError: something else stands in its place.

    """
    keys = await memory.list_keys(f"{_root(project)}/")
    records = [key for key in keys if key.endswith("/record")]
    if not records:
        return None
    record = await memory.retrieve(max(records))
    if record is not None and not (isinstance(record, dict) and "run" in record):
        raise UntrustedResultError(f"{max(records)}: is no record of a run; delete it")
    return record


def _root(project: str) -> str:
    return f"aqe/work/{project_segment(project)}"


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[\\" else sign for sign in text)

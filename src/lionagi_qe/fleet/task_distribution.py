"""Where examinations are carried out: at workers if there are any, else here; each only once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import DivisibleAgent, Share, Step
from lionagi_qe.errors import (
    AqeError,
    BackendUnavailableError,
    JobFailedError,
    JobNotDoneError,
    JobNotFoundError,
)
from lionagi_qe.fleet import channels, serialization, source_archive
from lionagi_qe.fleet.blobs import Blobs
from lionagi_qe.fleet.commander import Carried, examine_here, failed
from lionagi_qe.fleet.registry import is_ours
from lionagi_qe.fleet.run_traces import RunTraces
from lionagi_qe.fleet.signatures import SigningKeys
from lionagi_qe.fleet.task import Task, content_of, task_name
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.server_support.server_clock import ServerClock

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Agent, Examination
    from lionagi_qe.fleet.checkpoint import Checkpoint
    from lionagi_qe.persistence import Memory

# How often who waits for a worker looks whether there still is one.
_PATROL_SECONDS = 1.0
# So many looks in a row that find none, and the work is done here.
_PATIENCE = 2
_CLAIMED_AT_ONCE = 100
_WITHDRAWAL_SECONDS = 10.0


class Dispatcher:
    """Carries out the examinations of one run; to be closed when the run ends or is given up.

    Args:
        memory: where workers look for tasks.
        checkpoint: of the run.
        began: by ``time.monotonic``, when the run began, less what it had spent before.
        at_home: nothing may be done elsewhere.
    """

    def __init__(
        self, memory: Memory, checkpoint: Checkpoint, began: float, *, at_home: bool = False
    ) -> None:
        self._memory = memory
        self._checkpoint = checkpoint
        self._began = began
        self._at_home = at_home
        self._keys = SigningKeys.from_env()
        self._blobs = Blobs(memory)
        self._clock = ServerClock(parts_of(memory).bulk.clock)
        self._queue = channels.queue_of(memory)
        self._traces = RunTraces.of(memory)
        self._tree: asyncio.Task[str] | None = None
        self._here = asyncio.Lock()
        self._waiting = 0
        self._alone = False

    async def __call__(self, agent: Agent, examination: Examination) -> Carried:
        """Return what comes of an examination; what an earlier process finished isn't repeated."""
        with self._traces.examining(agent, self._checkpoint.run) as found:
            carried = await self._carry_out(agent, examination)
            found(carried.findings)
        return carried

    async def _carry_out(self, agent: Agent, examination: Examination) -> Carried:
        if not self._alone:
            try:
                kept, parts, workers = await self._look(agent, examination)
            except BackendUnavailableError:
                # The run goes on; its end will tell that nothing could be kept.
                self._alone = True
            else:
                if kept is not None:
                    return kept
                if parts > 1 or workers:
                    carried = await self._elsewhere(agent, examination, parts)
                    await self._keep(agent.name, carried)
                    return carried
        carried = await examine_here(agent, examination)
        await self._keep(agent.name, carried)
        return carried

    async def _look(
        self, agent: Agent, examination: Examination
    ) -> tuple[Carried | None, int, int]:
        """Return what is known of an examination, its number of parts, and of workers for it."""
        kept = await self._checkpoint.kept(agent.name)
        stays = self._at_home or agent.instant or not is_ours(agent.name)
        if kept is not None or stays or agent.stays_home(examination):
            return kept, 1, 0
        workers = len(await channels.workers_of(self._memory))
        parts = await self._checkpoint.parts(agent.name)
        if parts is None and workers > 1 and isinstance(agent, DivisibleAgent):
            parts = await self._checkpoint.divide(agent.name, workers)
        return None, parts or 1, workers

    async def close(self) -> None:
        """Withdraw what workers have not taken, and have them drop what they have."""
        if self._tree is None:
            return
        self._tree.cancel()
        await asyncio.gather(self._tree, return_exceptions=True)
        async with asyncio.timeout(_WITHDRAWAL_SECONDS):
            await self._checkpoint.shut()
            while await self._withdraw_some():
                pass

    async def _withdraw_some(self) -> bool:
        """Take jobs of this run out of the queue; return whether there may be more."""
        jobs = await self._queue.claim(_CLAIMED_AT_ONCE, lease_ttl=_WITHDRAWAL_SECONDS)
        own = [job for job in jobs if job.payload["run"] == self._checkpoint.run]
        await asyncio.gather(
            *(job.ack({"withdrawn": True}) if job in own else job.release() for job in jobs)
        )
        return bool(own)

    async def _keep(self, task: str, carried: Carried) -> None:
        if self._alone:
            return
        try:
            await self._checkpoint.keep(task, carried, time.monotonic() - self._began)
        except AqeError:
            # A run that can't be resumed is still a run.
            self._alone = True

    async def _elsewhere(self, agent: Agent, examination: Examination, parts: int) -> Carried:
        """Have workers carry out an examination, in so many parts."""
        template = await self._template(agent, examination)
        done = 0

        async def part(share: Share) -> Carried:
            nonlocal done
            carried = await self._part(agent, replace(examination, share=share), template)
            done += 1
            tell(f"{done} of {parts} parts done by workers")
            return carried

        def tell(text: str) -> None:
            examination.progress(Step(agent.name, text))

        tell("waiting for a worker" if parts == 1 else f"waiting for workers; {parts} parts")
        shares = await asyncio.gather(*(part(Share(number, parts)) for number in range(parts)))
        seconds = max(share.seconds for share in shares)
        if parts == 1 or not isinstance(agent, DivisibleAgent):
            return Carried(shares[0].findings, seconds)
        return Carried(agent.merge(examination, [share.findings for share in shares]), seconds)

    async def _template(self, agent: Agent, examination: Examination) -> Task:
        """Return what all parts of an examination have in common; ships what it needs."""
        workspace = examination.workspace
        if self._tree is None:
            self._tree = asyncio.create_task(self._ship(examination), name="ship the project")
        content = serialization.packed(content_of(agent, examination))
        now, here = await self._clock.now(), time.monotonic()
        deadline = examination.deadline
        return Task(
            self._checkpoint.run,
            self._checkpoint.project,
            agent.name,
            await asyncio.shield(self._tree),
            workspace.pristine.name,
            workspace.commit,
            await self._blobs.put(content.encode()),
            None if deadline is None else now + (deadline - here) * 1000,
            now - (here - self._began) * 1000,
        )

    async def _ship(self, examination: Examination) -> str:
        examination.progress(Step("fleet", "shipping the project to workers"))
        content = await asyncio.to_thread(
            source_archive.packed_tree, examination.workspace.pristine
        )
        name = await self._blobs.put(content)
        await self._checkpoint.open()
        return name

    async def _part(self, agent: Agent, examination: Examination, template: Task) -> Carried:
        """Have a worker carry out a part; if there is none any more, do it here."""
        share = examination.share
        task = task_name(agent.name, share)
        kept = await self._checkpoint.kept(task)
        if kept is not None:
            return kept
        payload = replace(template, share=(share.part, share.of)).as_payload()
        if self._keys is not None:
            payload = self._keys.signed(payload, self._memory.fleet)
        job = await self._queue.put(payload, dedupe=f"{self._checkpoint.run}/{task}"[-128:])
        try:
            reason = await self._watch(job)
        except JobFailedError as error:
            commit = examination.workspace.commit
            return Carried(failed(agent, f"workers gave up: {error}", commit), 0.0)
        return await self._checkpoint.kept(task) or await self._take_over(
            agent, examination, task, reason
        )

    async def _watch(self, job: str) -> str:
        """Return when a job is done, or nobody is there to do it; the latter with a reason."""
        alone = 0
        while alone < _PATIENCE:
            try:
                await self._queue.result(job, timeout=_PATROL_SECONDS)
            except JobNotDoneError:
                alone = 0 if await self._has_workers() else alone + 1
            except JobNotFoundError:
                break
            else:
                break
        return "the last worker has left" if alone else "a worker left it"

    async def _has_workers(self) -> bool:
        try:
            return bool(await channels.workers_of(self._memory))
        except BackendUnavailableError:
            return False

    async def _take_over(
        self, agent: Agent, examination: Examination, task: str, reason: str
    ) -> Carried:
        """Do here what no worker did; one after the other, each with its share of the time."""
        self._waiting += 1
        try:
            async with self._here:
                examination.progress(Step(agent.name, f"{reason}: going on here"))
                carried = await _share_here(agent, self._shortened(examination))
        finally:
            self._waiting -= 1
        await self._keep(task, carried)
        return carried

    def _shortened(self, examination: Examination) -> Examination:
        if examination.deadline is None:
            return examination
        now = time.monotonic()
        left = max(examination.deadline - now, 0.0) / max(self._waiting, 1)
        return replace(examination, deadline=now + left)


async def _share_here(agent: Agent, examination: Examination) -> Carried:
    if not isinstance(agent, DivisibleAgent) or examination.share.of == 1:
        return await examine_here(agent, examination)
    started = time.monotonic()
    return Carried(await agent.examine_share(examination), time.monotonic() - started)

"""Where examinations are carried out: by the run's executor if it can, else here; only once."""

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
    UntrustedResultError,
)
from lionagi_qe.fleet import serialization, source_archive
from lionagi_qe.fleet.commander import Carried, examine_here, failed
from lionagi_qe.fleet.executors import WorkersGoneError
from lionagi_qe.fleet.registry import is_ours
from lionagi_qe.fleet.task import Task, content_of, task_name

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Agent, Examination
    from lionagi_qe.fleet.checkpoint import Checkpoint
    from lionagi_qe.fleet.executors import Executor
    from lionagi_qe.fleet.run_traces import RunTraces


class Dispatcher:
    """Carries out the examinations of one run; to be closed when the run ends or is given up.

    Args:
        executor: carries out tasks elsewhere; the caller closes it.
        checkpoint: of the run.
        began: by ``time.monotonic``, when the run began, less what it had spent before.
        traces: told which agents examine.
    """

    def __init__(
        self, executor: Executor, checkpoint: Checkpoint, began: float, traces: RunTraces
    ) -> None:
        self._executor = executor
        self._checkpoint = checkpoint
        self._began = began
        self._traces = traces
        self._tree: asyncio.Task[str] | None = None
        self._here = asyncio.Lock()
        self._waiting = 0
        self._alone = False
        # What a reader of the report should know.
        self.notes: list[str] = []

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
        kept = await self._kept(agent.name)
        stays = agent.instant or not is_ours(agent.name)
        if kept is not None or stays or agent.stays_home(examination):
            return kept, 1, 0
        workers = await self._executor.workers()
        parts = await self._checkpoint.parts(agent.name)
        if parts is None and workers > 1 and isinstance(agent, DivisibleAgent):
            parts = await self._checkpoint.divide(agent.name, workers)
        return None, parts or 1, workers

    async def close(self) -> None:
        """Stop what was begun for others; the executor is the caller's to close."""
        if self._tree is not None:
            self._tree.cancel()
            await asyncio.gather(self._tree, return_exceptions=True)

    async def _kept(self, task: str) -> Carried | None:
        """Return what came of a task; None if nobody who is trusted says that it ended."""
        try:
            return await self._checkpoint.kept(task)
        except UntrustedResultError as error:
            self._refuse(error)
            return None

    def _refuse(self, error: UntrustedResultError) -> None:
        note = f"refused, so it was done here or once more: {error}"
        if note not in self.notes:
            self.notes.append(note)

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
        now, here = await self._executor.now(), time.monotonic()
        deadline = examination.deadline
        return Task(
            self._checkpoint.run,
            self._checkpoint.project,
            agent.name,
            await asyncio.shield(self._tree),
            self._checkpoint.signatures.files,
            workspace.pristine.name,
            workspace.commit,
            await self._executor.put(content.encode()),
            None if deadline is None else now + (deadline - here) * 1000,
            now - (here - self._began) * 1000,
        )

    async def _ship(self, examination: Examination) -> str:
        examination.progress(Step("fleet", "shipping the project to workers"))
        content = await asyncio.to_thread(
            source_archive.packed_tree, examination.workspace.pristine
        )
        return await self._executor.put(content)

    async def _part(self, agent: Agent, examination: Examination, template: Task) -> Carried:
        """Have a worker carry out a part; if there is none any more, do it here."""
        share = examination.share
        task = task_name(agent.name, share)
        kept = await self._kept(task)
        if kept is not None:
            return kept
        own = replace(template, share=(share.part, share.of))

        def tell(text: str) -> None:
            examination.progress(Step(agent.name, text))

        try:
            carried = await self._executor.carry_out(own, tell)
        except JobFailedError as error:
            commit = examination.workspace.commit
            return Carried(failed(agent, f"workers gave up: {error}", commit), 0.0)
        except WorkersGoneError as error:
            return await self._take_over(agent, examination, task, str(error))
        except UntrustedResultError as error:
            self._refuse(error)
            return await self._take_over(agent, examination, task, "what was found is refused")
        if not self._executor.keeps_results:
            await self._keep(task, carried)
        return carried

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

"""Queues and the jobs of one, by state; cancelling, retrying and removing jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from lionagi_qe.coordination import QueueCounts, WorkQueue
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.contract.job_pages import LISTED_STATES
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.web.console import PAGE, asked, memory_of
from lionagi_qe.web.overview import queues_of
from lionagi_qe.web.refusals import allowed
from lionagi_qe.web.rendering import go_to, render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.web.forms import Form

_SCHEDULED = "scheduled"
_BATCHES = "batches"
_GROUPED = 200
# What may be done to jobs in which states; the second of a pair is asked for once more.
_ACTS = {
    "cancel": ("ready", "delayed", "waiting", "claimed"),
    "retry": ("dead",),
    "purge": ("dead",),
}
_CONFIRMED = frozenset({"cancel", "purge"})


async def queues(request: Request) -> Response:
    """List the queues with the counts of their jobs."""
    found = await allowed(request, queues_of(memory_of(request)), {})
    return render(request, "queues.html", queues=found)


async def queue(request: Request) -> Response:
    """Show a page of a queue's jobs in one state, of its batches, or its schedules."""
    memory, name = memory_of(request), asked(request, "name")
    found = WorkQueue(memory, name)
    counts, names, schedules = await asyncio.gather(
        found.stats(),
        parts_of(memory).jobs.queues(),
        allowed(request, found.schedules(), []),
    )
    state = request.query_params.get("state") or _most_telling(counts)
    values: dict[str, object] = {"jobs": [], "after": None, "reasons": []}
    after = request.query_params.get("after", "")
    if state == _BATCHES:
        batches = await allowed(request, found.batches(PAGE, after), [])
        values |= {"batches": batches, "after": batches[-1].id if len(batches) == PAGE else None}
    elif state != _SCHEDULED:
        listed = cast("ListedState", state)
        page = await allowed(request, found.jobs(listed, PAGE, after), None)
        if page is not None:
            values |= {"jobs": page.jobs, "after": page.after}
        if state == "dead":
            values["reasons"] = await allowed(request, found.dead_groups(_GROUPED), [])
    return render(
        request,
        "queue.html",
        status=200 if name in names or schedules else 404,
        name=name,
        state=state,
        states=LISTED_STATES,
        counts=counts,
        schedules=schedules,
        grouped=min(counts.dead, _GROUPED),
        acts=[act for act, states in _ACTS.items() if state in states],
        **values,
    )


def _most_telling(counts: QueueCounts) -> str:
    """Return the state whose jobs somebody looks for who doesn't say: those that went wrong."""
    order = ("dead", "claimed", "ready", "delayed", "waiting", "done", "cancelled")
    return next((state for state in order if getattr(counts, state)), "ready")


async def change_jobs(request: Request, form: Form) -> Response:
    """Cancel, retry or purge the chosen jobs, or all dead ones; ask once more if it is final."""
    name, (act, _, whom) = asked(request, "name"), form.first("act").partition(" ")
    chosen, is_all = form.all("id"), whom == "all"
    if act not in _ACTS or (is_all and act == "cancel"):
        msg = f"{act!r}: a queue's page has no such button"
        raise InvalidArgumentError(msg)
    found = WorkQueue(memory_of(request), name)
    if not chosen and not is_all:
        return go_to(request, "/queue", name=name, state=form.first("state") or None)
    if act in _CONFIRMED and not form.first("confirmed"):
        count = (await found.stats()).dead if is_all else len(chosen)
        return render(
            request, "confirm.html", name=name, act=act, ids=chosen, is_all=is_all, count=count
        )
    if act == "cancel":
        await asyncio.gather(*map(found.cancel, chosen))
    else:
        change = found.purge_dead if act == "purge" else found.retry_dead
        await change(None if is_all else chosen)
    if form.first("from") == "job":
        return go_to(request, "/job", name=name, id=chosen[0])
    return go_to(request, "/queue", name=name, state=form.first("state") or None)

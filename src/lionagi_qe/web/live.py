"""What changes, as it changes: Server-Sent Events from the memory's own feed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse, StreamingResponse

from lionagi_qe.coordination import WorkQueue, held_leases
from lionagi_qe.errors import AqeError
from lionagi_qe.web.console import PAGE, console_of, memory_of
from lionagi_qe.web.overview import queues_of
from lionagi_qe.web.rendering import link, preview, render, shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.watch import Watch
    from lionagi_qe.web.console import Console

# Jobs and leases have no feed: while somebody looks at them they are asked for this often, and
# never for more than a tenth of the time.
_LOOK_SECONDS = 0.5
_SHARE = 10
# Between what a page is told of changes: it reads itself anew each time.
_LEAST_PAUSE = 0.4
_MOST_PATTERNS = 4
# By less than this a lease was not renewed, but asked for a little later.
_SAME_END_SECONDS = 2.0
# Proxies end connections that are silent for a minute.
_KEEP_ALIVE = 15.0

_log = logging.getLogger(__name__)


async def watch(request: Request) -> Response:
    """Show the page on which changes appear as they happen."""
    pattern = request.query_params.get("pattern", "").strip() or "aqe/*"
    return render(request, "watch.html", pattern=pattern)


async def changes(request: Request) -> Response:
    """Send each change of the entries that match ``pattern``, from now on."""
    feed = memory_of(request).watch(request.query_params.get("pattern", "aqe/*"))
    # Here, so that a bad pattern is an answer and not a broken stream.
    await feed.open()

    async def told() -> AsyncGenerator[str]:
        async with feed:
            async for change in feed:
                data = {
                    "kind": change.kind,
                    "key": shown(change.key),
                    "link": link(request, "/entry", key=change.key),
                    "revision": change.revision,
                    "value": shown(preview(change.value)) if change.kind == "stored" else "",
                }
                yield _event("change", data)

    return _stream(request, told())


async def news(request: Request) -> Response:
    """Say "news" whenever the entries, the queues or the leases that a page shows have changed.

    The address tells which: ``pattern`` of keys, ``queue`` by name or "*" for all, of one queue a
    ``job`` by its id or the jobs in a ``state``, ``leases``.
    """
    memory, asked = memory_of(request), request.query_params
    if "leases" in asked:
        return _stream(request, _looked(lambda: _holders(memory)))
    if asked.get("queue", "*") != "*":
        queue = WorkQueue(memory, asked["queue"])
        return _stream(request, _looked(lambda: _seen_of(queue, asked)))
    sources: list[AsyncGenerator[str]] = []
    if "queue" in asked:
        sources.append(_looked(lambda: queues_of(memory)))
    for pattern in asked.getlist("pattern")[:_MOST_PATTERNS]:
        feed = memory.watch(pattern, values=False)
        await feed.open()
        sources.append(_told_of(feed))
    return _stream(request, _merged(sources))


async def _told_of(feed: Watch) -> AsyncGenerator[str]:
    async with feed:
        async for _ in feed:
            yield _event("news", {})
            await asyncio.sleep(_LEAST_PAUSE)


async def _seen_of(queue: WorkQueue, asked: Mapping[str, str]) -> object:
    """Return what a page shows of a queue, as far as it changes while the counts stay."""
    if "job" in asked:
        return await queue.status(asked["job"])
    counts = await queue.stats()
    # Only what is being done tells of its progress.
    return counts, await queue.jobs("claimed", PAGE) if asked.get("state") == "claimed" else None


async def _holders(memory: Memory) -> list[tuple[str, int, int]]:
    now = time.time()
    return [
        (lease.name, lease.token, int((now + lease.remaining) / _SAME_END_SECONDS))
        for lease in await held_leases(memory, PAGE)
    ]


async def _looked(look: Callable[[], Awaitable[Any]]) -> AsyncGenerator[str]:
    """Yield news whenever what ``look`` returns differs from what it returned before."""
    before = await look()
    while True:
        begun = time.monotonic()
        now = await look()
        if now != before:
            yield _event("news", {})
        before = now
        await asyncio.sleep(max(_LOOK_SECONDS, _SHARE * (time.monotonic() - begun)))


async def _merged(sources: list[AsyncGenerator[str]]) -> AsyncGenerator[str]:
    """Yield what any of the sources does, as it comes."""
    waiting: dict[asyncio.Task[str], AsyncGenerator[str]] = {}
    try:
        for source in sources:
            waiting[asyncio.ensure_future(anext(source))] = source
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = waiting.pop(task)
                event = task.result()
                waiting[asyncio.ensure_future(anext(source))] = source
                yield event
    finally:
        await _end(list(waiting))
        for source in sources:
            await source.aclose()


def _stream(request: Request, events: AsyncGenerator[str]) -> Response:
    console = console_of(request)
    if console.streams.locked():
        return PlainTextResponse("Too many pages listen for changes.\n", status_code=503)
    return StreamingResponse(
        _kept_alive(console, events),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _kept_alive(console: Console, events: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Yield the events, and a comment now and then where there is none, until the console ends."""
    ending = asyncio.ensure_future(console.ending.wait())
    event: asyncio.Future[str] | None = None
    try:
        async with console.streams:
            yield ": connected\n\n"
            while not ending.done():
                event = event or asyncio.ensure_future(anext(events))
                await asyncio.wait(
                    [event, ending],
                    timeout=_KEEP_ALIVE,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if event.done():
                    told, event = event.result(), None
                    yield told
                elif not ending.done():
                    yield ": still here\n\n"
    except (StopAsyncIteration, AqeError) as error:
        # Browsers connect again by themselves, and read the page anew then.
        _log.info("a page's changes end: %s", error)
        yield _event("again", {})
    finally:
        await _end([ending] if event is None else [ending, event])
        await events.aclose()


async def _end(waiting: Iterable[asyncio.Future[Any]]) -> None:
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _event(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"

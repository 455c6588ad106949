"""What changes, as it changes: Server-Sent Events from the memory's own feed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse, StreamingResponse

from lionagi_qe.coordination import WorkQueue
from lionagi_qe.display import visible
from lionagi_qe.errors import WatchTooOldError
from lionagi_qe.web.console import memory_of
from lionagi_qe.web.rendering import preview, render

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence import Memory
    from lionagi_qe.web.console import Console

# Jobs have no feed: their counts are looked at this often while somebody looks at them.
_COUNT_SECONDS = 0.5
# Between what a page is told of changes: it reads itself anew each time.
_LEAST_PAUSE = 0.5
# Proxies end connections that are silent for a minute.
_KEEP_ALIVE = 15.0


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
                    "key": visible(change.key),
                    "revision": change.revision,
                    "value": visible(preview(change.value)) if change.kind == "stored" else "",
                }
                yield _event("change", data)

    return _stream(request, told())


async def news(request: Request) -> Response:
    """Say "news" whenever the entries or the queue that a page shows have changed."""
    pattern, queue = request.query_params.get("pattern"), request.query_params.get("queue")
    memory = memory_of(request)
    if queue is not None:
        return _stream(request, _counted(memory, queue))
    feed = memory.watch(pattern or "aqe/*", values=False)
    await feed.open()

    async def told() -> AsyncGenerator[str]:
        async with feed:
            async for _ in feed:
                yield _event("news", {})
                await asyncio.sleep(_LEAST_PAUSE)

    return _stream(request, told())


async def _counted(memory: Memory, name: str) -> AsyncGenerator[str]:
    queue = WorkQueue(memory, name)
    before = await queue.stats()
    while True:
        await asyncio.sleep(_COUNT_SECONDS)
        now = await queue.stats()
        if now != before:
            yield _event("news", {})
        before = now


def _stream(request: Request, events: AsyncGenerator[str]) -> Response:
    console: Console = request.app.state.console
    if console.streams.locked():
        return PlainTextResponse("Too many pages listen for changes.\n", status_code=503)
    return StreamingResponse(
        _kept_alive(console, events),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _kept_alive(console: Console, events: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Yield the events, and a comment now and then where there is none."""
    async with console.streams:
        waiting: asyncio.Task[str] | None = None
        try:
            yield ": connected\n\n"
            while True:
                waiting = waiting or asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait([waiting], timeout=_KEEP_ALIVE)
                if not done:
                    yield ": still here\n\n"
                    continue
                event, waiting = waiting.result(), None
                yield event
        except (StopAsyncIteration, WatchTooOldError):
            yield _event("again", {})
        finally:
            if waiting is not None:
                waiting.cancel()
                await asyncio.wait([waiting])
            await events.aclose()


def _event(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"

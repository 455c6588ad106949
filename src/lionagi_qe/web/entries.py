"""The memory's entries: lists, single ones, and changes at the revision that was seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AqeError, InvalidArgumentError, RevisionConflictError
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.web.console import PAGE, children, entries_after, memory_of
from lionagi_qe.web.rendering import go_to, render

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence import Memory

_WILD = frozenset("*?[")
_CONFLICT = 409
_NOT_FOUND = 404


async def entries(request: Request) -> Response:
    """List entries by prefix or pattern, a page at a time."""
    asked = request.query_params.get("prefix", "").strip()
    after = request.query_params.get("after", "")
    memory = memory_of(request)
    if _WILD.intersection(asked):
        values = await memory.search(asked, limit=PAGE + 1)
        keys = list(values)[:PAGE]
        found = [entry for entry in [await memory.entry(key) for key in keys] if entry is not None]
        return render(
            request,
            "entries.html",
            prefix=asked,
            entries=found,
            folders=[],
            after=None,
            cut=len(values) > PAGE,
        )
    found, behind = await entries_after(memory, asked, after)
    folder = asked[: asked.rfind("/") + 1] if "/" in asked else "aqe/"
    folders = [] if after else (await children(memory, folder))[0]
    return render(
        request,
        "entries.html",
        prefix=asked,
        entries=found,
        folders=[f"{folder}{name}/" for name in folders],
        after=behind,
        cut=False,
    )


async def entry(request: Request) -> Response:
    """Show an entry with its revision, times and value."""
    return await _entry(request)


async def _entry(
    request: Request, *, problem: str | None = None, text: str | None = None, status: int = 200
) -> Response:
    key = request.query_params["key"]
    found = await memory_of(request).entry(key)
    return render(
        request,
        "entry.html",
        status=status if found is not None or problem else _NOT_FOUND,
        key=key,
        entry=found,
        problem=problem,
        text=text,
    )


async def change_entry(request: Request, form: FormData) -> Response:
    """Store or delete an entry if it still has the revision that its form was made from."""
    key, text = request.query_params["key"], str(form.get("value", ""))
    memory = memory_of(request)
    try:
        revision = int(str(form.get("revision", "")))
        if form.get("act") == "delete":
            await memory.delete(key, if_revision=revision)
            return go_to(request, "/memory", prefix=key[: key.rfind("/") + 1])
        # Its partition and the time at which it expires stay as they are.
        await _replace(memory, key, json.loads(text), revision)
    except RevisionConflictError as error:
        said = f"{error}. Below is what it is now; what you wrote is kept in the form."
        return await _entry(request, problem=said, text=text, status=_CONFLICT)
    except ValueError as error:
        problem = error if isinstance(error, AqeError) else f"this is no JSON: {error}"
        return await _entry(request, problem=str(problem), text=text, status=400)
    return go_to(request, "/entry", key=key)


async def _replace(memory: Memory, key: str, value: Any, revision: int) -> None:
    """Store a value in place of the one at this revision; partition and expiry stay."""
    seen = await memory.entry(key)
    if seen is None or seen.revision != revision:
        raise RevisionConflictError(key, revision, None if seen is None else seen.revision)

    def replaced(current: object) -> object:
        if current != seen.value:
            raise RevisionConflictError(key, revision, None)
        return value

    await memory.update(key, replaced)


async def lease(request: Request) -> Response:
    """Show who holds a lease, by its name."""
    name = request.query_params.get("name", "").strip()
    tenure, problem = None, None
    if name:
        try:
            tenure = await parts_of(memory_of(request)).leases.look(name)
        except InvalidArgumentError as error:
            problem = str(error)
    return render(request, "lease.html", name=name, tenure=tenure, problem=problem)

"""The memory's entries: levels of names, searches, single entries, changes at a known revision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AqeError, InvalidArgumentError, RevisionConflictError
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.glob import compile_glob, escape_glob
from lionagi_qe.web.console import PAGE, asked, memory_of
from lionagi_qe.web.rendering import as_json, go_to, render, shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence import Entry, Memory
    from lionagi_qe.web.forms import Form

_ROOT = "aqe/"
_WILD = frozenset("*?[")
# A search looks at so many keys, then tells how far it came.
_KEY_PAGE = 5_000
_MOST_PAGES = 4
_LONGEST_EDITED = 1_000_000
_CONFLICT = 409
_NOT_FOUND = 404


async def entries(request: Request) -> Response:
    """Show a level of names, or what a search finds, a page at a time."""
    wanted = request.query_params.get("q", "").strip()
    after = request.query_params.get("after", "")
    memory = memory_of(request)
    folder = "" if wanted else request.query_params.get("prefix", "") or _ROOT
    if wanted:
        keys, behind, is_whole = await _search(memory, wanted, after)
    else:
        keys = await memory.list_children(folder, limit=PAGE, after=after or None)
        behind, is_whole = (keys[-1] if len(keys) == PAGE else None), True
    found = await memory.entries_many([key for key in keys if not key.endswith("/")])
    return render(
        request,
        "entries.html",
        wanted=wanted,
        prefix=folder,
        rows=[(key, found.get(key)) for key in keys if key.endswith("/") or key in found],
        after=behind,
        is_whole=is_whole,
    )


async def _search(memory: Memory, wanted: str, after: str) -> tuple[list[str], str | None, bool]:
    """Return keys that match, behind which the next page begins, and whether all was looked at."""
    pattern = wanted if _WILD.intersection(wanted) else f"*{escape_glob(wanted)}*"
    if not _WILD.intersection(wanted) and wanted.startswith(_ROOT):
        pattern = f"{escape_glob(wanted)}*"
    glob = compile_glob(pattern)
    found: list[str] = []
    for _ in range(_MOST_PAGES):
        page = await memory.list_keys(glob.prefix, limit=_KEY_PAGE, after=after or None)
        for key in filter(glob.matches, page):
            found.append(key)
            if len(found) == PAGE:
                return found, key, True
        if len(page) < _KEY_PAGE:
            return found, None, True
        after = page[-1]
    return found, after, False


async def entry(request: Request) -> Response:
    """Show an entry with its revision, times and value."""
    return await _entry(request)


async def _entry(
    request: Request, *, problem: str | None = None, text: str | None = None, status: int = 200
) -> Response:
    key = asked(request, "key")
    found = await memory_of(request).entry(key)
    stored = "" if found is None else as_json(found.value)
    return render(
        request,
        "entry.html",
        status=status if found is not None or problem else _NOT_FOUND,
        key=key,
        folder=key[: key.rfind("/") + 1],
        entry=found,
        problem=problem,
        # What would be shown otherwise than it is would be stored otherwise, too.
        edited=stored if text is None else text,
        can_edit=shown(stored) == stored and len(stored) <= _LONGEST_EDITED,
    )


async def change_entry(request: Request, form: Form) -> Response:
    """Store or delete an entry if it still has the revision that its form was made from."""
    key, text = asked(request, "key"), form.first("value")
    memory = memory_of(request)
    try:
        revision = _revision(form.first("revision"))
        if form.first("act") == "delete":
            if not form.first("confirmed"):
                return render(request, "delete.html", key=key, revision=revision)
            await memory.delete(key, if_revision=revision)
            return go_to(request, "/memory", prefix=key[: key.rfind("/") + 1])
        await _replace(memory, key, _value(text), revision)
    except RevisionConflictError:
        said = (
            "Somebody changed this entry since you opened it, so nothing was stored. Above is what "
            "it is now; what you wrote is kept below, and is stored over that if you send it again."
        )
        return await _entry(request, problem=said, text=text or None, status=_CONFLICT)
    except AqeError as error:
        return await _entry(request, problem=str(error), text=text or None, status=400)
    return go_to(request, "/entry", key=key)


def _revision(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidArgumentError(f"revision {text[:40]!r}: is a number") from error


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"the value is no JSON: {error}") from error


async def _replace(memory: Memory, key: str, value: object, revision: int) -> None:
    """Store a value over the one with this revision; its partition and its end stay."""
    seen = await memory.entry(key)
    if seen is None or seen.revision != revision:
        raise RevisionConflictError(key, revision, None if seen is None else seen.revision)
    await memory.store(
        key,
        value,
        if_revision=revision,
        partition=seen.partition,
        ttl=await _left(memory, seen),
    )


async def _left(memory: Memory, entry: Entry) -> float | None:
    """Return the seconds that an entry lasts, by the server's clock; None for ever."""
    if entry.expires_at is None:
        return None
    now = await parts_of(memory).bulk.clock() / 1000
    return max(entry.expires_at.timestamp() - now, 0.001)

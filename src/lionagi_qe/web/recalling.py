"""Recall: an index is chosen, words are typed, and entries come with their scores and why."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lionagi_qe.errors import AqeError, EmbeddingNotFoundError
from lionagi_qe.web.console import PAGE, console_of, memory_of
from lionagi_qe.web.refusals import allowed, status_of
from lionagi_qe.web.rendering import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence.recall.ranking import Recalled


async def recall(request: Request) -> Response:
    """List the declared indexes, and show what one of them finds.

    Who only looks searches in what is indexed, since to index is to write; who signed in and may
    change things has what was stored since indexed first. Without the function that made an
    index's vectors, it is searched by words alone, in what is indexed.
    """
    asked = request.query_params
    wanted, prefix = asked.get("q", "").strip(), asked.get("prefix", "").strip()
    indexes = await allowed(request, memory_of(request).indexes(), [])
    chosen = asked.get("index", "") or (indexes[0].name if indexes else "")
    refresh = console_of(request).access.may_change(request)
    found: list[Recalled] = []
    unknown_model = problem = None
    status = 200
    if wanted and chosen:
        search = partial(
            memory_of(request).recall, wanted, index=chosen, limit=PAGE, prefix=prefix or None
        )
        try:
            try:
                found = await search(refresh=refresh)
            except EmbeddingNotFoundError:
                refresh = False
                unknown_model = next((each.model for each in indexes if each.name == chosen), "")
                found = await search(vectors=False, refresh=False)
        except AqeError as error:
            problem, status = str(error), status_of(error)
    return render(
        request,
        "recall.html",
        status=status,
        indexes=indexes,
        chosen=chosen,
        wanted=wanted,
        prefix=prefix,
        found=found,
        refresh=refresh,
        unknown_model=unknown_model,
        problem=problem,
    )

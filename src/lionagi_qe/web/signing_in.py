"""Signing in by the token, and out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lionagi_qe.web import forms
from lionagi_qe.web.console import console_of
from lionagi_qe.web.protection import SESSION_SECONDS, is_own_origin
from lionagi_qe.web.rendering import go_to, link, render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

# Against whoever tries token after token.
_WRONG_TOKEN_SECONDS = 1.0


async def page(request: Request) -> Response:
    """Ask for the token."""
    return render(request, "login.html", problem=None)


async def sign_in(request: Request) -> Response:
    """Begin a session for whoever shows the token; one wrong try a second."""
    console = console_of(request)
    if not is_own_origin(request):
        return render(request, "trouble.html", status=403, said="Sign in on the console's page.")
    form = await forms.read(request)
    token = "" if form is None else form.first("token").strip()
    if not console.access.accepts(token):
        async with console.wrong_tokens:
            await asyncio.sleep(_WRONG_TOKEN_SECONDS)
        return render(request, "login.html", status=403, problem="That is not the token.")
    answer = go_to(request, "/")
    answer.set_cookie(
        console.access.cookie,
        console.access.new_session(),
        max_age=SESSION_SECONDS,
        path=link(request, "/"),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


async def sign_out(request: Request) -> Response:
    """End the session of this browser."""
    answer = go_to(request, "/")
    if is_own_origin(request):
        answer.delete_cookie(console_of(request).access.cookie, path=link(request, "/"))
    return answer

"""The console as an ASGI application: addresses, and what every request goes through."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lionagi_qe.errors import AqeError, BackendUnavailableError
from lionagi_qe.web import entries, health, live, overview, projects, queues
from lionagi_qe.web.console import Console
from lionagi_qe.web.protection import COOKIE, SESSION_SECONDS, Access, Guard, is_own_origin
from lionagi_qe.web.rendering import STATIC, go_to, link, render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence import Memory

    Page = Callable[[Request], Awaitable[Response]]
    Change = Callable[[Request, FormData], Awaitable[Response]]

# Against whoever tries token after token.
_WRONG_TOKEN_SECONDS = 1.0
_LARGEST_FORM = 32 * 1024 * 1024
_MOST_FIELDS = 1_000


def app(
    memory: Memory,
    *,
    token: str | None = None,
    private: bool = False,
    hosts: Iterable[str] = (),
    shown_url: str = "",
) -> Starlette:
    """Return the console of a memory, to be served or mounted in another application.

    Args:
        memory: open for as long as the console is served.
        token: whoever signs in with it may change entries and dead jobs; None: nobody may.
        private: to look takes the token, too; but for the health page.
        hosts: names by which browsers may ask for it; any, if there are none.
        shown_url: where the memory is, without secrets, for the pages' head.

    Raises:
        InvalidArgumentError: the token is too short, or there is none for a private console.

    """
    access = Access(token, private, frozenset(hosts))
    pages: dict[str, Page] = {
        "/": overview.overview,
        "/queues": queues.queues,
        "/queue": queues.queue,
        "/job": queues.job,
        "/memory": entries.entries,
        "/entry": entries.entry,
        "/lease": entries.lease,
        "/watch": live.watch,
        "/changes": live.changes,
        "/news": live.news,
        "/projects": projects.projects,
        "/project": projects.project,
        "/test": projects.test,
        "/metrics": health.metrics,
    }
    changes: dict[str, Change] = {"/queue": queues.change_dead, "/entry": entries.change_entry}
    console = Starlette(
        routes=[
            *(Route(path, _looking(page), methods=["GET"]) for path, page in pages.items()),
            *(Route(path, _changing(act), methods=["POST"]) for path, act in changes.items()),
            Route("/health", health.health, methods=["GET"]),
            Route("/login", _sign_in_page, methods=["GET"]),
            Route("/login", _sign_in, methods=["POST"]),
            Route("/logout", _sign_out, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=access.hosts)],
        exception_handlers={404: _not_found},
    )
    console.state.console = Console(memory, access, shown_url)
    return console


def _access(request: Request) -> Access:
    console: Console = request.app.state.console
    return console.access


def _looking(page: Page) -> Page:
    """Have a page tell what is wrong with what was asked, or with the memory."""

    @wraps(page)
    async def shown(request: Request) -> Response:
        access = _access(request)
        if access.private and not access.has_session(request):
            return go_to(request, "/login")
        try:
            return await page(request)
        except KeyError as error:
            return _trouble(request, f"the address lacks {error.args[0]}", 400)
        except BackendUnavailableError as error:
            return _trouble(request, str(error), 503)
        except AqeError as error:
            return _trouble(request, str(error), 400)

    return shown


def _changing(act: Change) -> Page:
    """Let only forms of our own pages change something, in a session that lasts."""

    async def done(request: Request) -> Response:
        if int(request.headers.get("content-length") or 0) > _LARGEST_FORM:
            return _trouble(request, "the form is too large", 413)
        async with request.form(
            max_fields=_MOST_FIELDS, max_files=0, max_part_size=_LARGEST_FORM
        ) as form:
            if not _access(request).may_change(request, str(form.get("form_key", ""))):
                return _trouble(request, "sign in first; then send the form again", 403)
            return await act(request, form)

    return _looking(done)


def _trouble(request: Request, said: str, status: int) -> Response:
    return render(request, "trouble.html", said=said, status=status)


async def _not_found(request: Request, error: Exception) -> Response:
    del error
    if _access(request).private and not _access(request).has_session(request):
        return PlainTextResponse("Not found.\n", status_code=404)
    return _trouble(request, "there is no such page", 404)


# Signing in


async def _sign_in_page(request: Request) -> Response:
    return render(request, "login.html", problem=None)


async def _sign_in(request: Request) -> Response:
    access = _access(request)
    if not is_own_origin(request):
        return _trouble(request, "sign in on the console's own page", 403)
    async with request.form(max_fields=2, max_files=0) as form:
        if not access.accepts(str(form.get("token", ""))):
            await asyncio.sleep(_WRONG_TOKEN_SECONDS)
            return render(request, "login.html", status=403, problem="that is not the token")
    answer = go_to(request, "/")
    answer.set_cookie(
        COOKIE,
        access.new_session(),
        max_age=SESSION_SECONDS,
        path=link(request, "/"),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


async def _sign_out(request: Request) -> Response:
    answer = go_to(request, "/login")
    answer.delete_cookie(COOKIE, path=link(request, "/"))
    return answer

"""The console as an ASGI application: addresses, and what every request goes through."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lionagi_qe.errors import AqeError
from lionagi_qe.web import (
    entries,
    forms,
    health,
    job_pages,
    learned,
    leases,
    live,
    overview,
    projects,
    queues,
    signing_in,
)
from lionagi_qe.web.console import Console, console_of
from lionagi_qe.web.protection import Access, Guard
from lionagi_qe.web.rendering import STATIC, go_to, render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence import Memory
    from lionagi_qe.web.forms import Form

    Page = Callable[[Request], Awaitable[Response]]
    Change = Callable[[Request, Form], Awaitable[Response]]


def app(  # noqa: PLR0913 - keyword-only settings with defaults
    memory: Memory,
    *,
    token: str | None = None,
    write: bool = False,
    private: bool = False,
    hosts: Iterable[str] = (),
    shown_url: str = "",
) -> Starlette:
    """Return the console of a memory, to be served, or mounted in another ASGI application.

    ::

        outer.mount("/console", lionagi_qe.web.app(memory))

    Args:
        memory: open for as long as the console is served; the console never closes it.
        token: what people sign in with; None: nobody can.
        write: whoever signed in may change what is shown.
        private: to look takes the token, too, but for the health page.
        hosts: names by which browsers may ask for it; any, if there are none. Give them where it
            can be reached without signing in: else any web page may read it by a name that
            resolves to its address (DNS rebinding).
        shown_url: where the memory is, without secrets, for the pages' head.

    Raises:
        InvalidArgumentError: the token is too short, or there is none where one is needed.

    """
    access = Access(token, write, private, frozenset(hosts))
    pages: dict[str, Page] = {
        "/": overview.overview,
        "/figures": overview.figures,
        "/queues": queues.queues,
        "/queue": queues.queue,
        "/job": job_pages.job,
        "/leases": leases.leases,
        "/memory": entries.entries,
        "/entry": entries.entry,
        "/watch": live.watch,
        "/changes": live.changes,
        "/news": live.news,
        "/projects": projects.projects,
        "/project": projects.project,
        "/test": projects.test,
        "/learning": learned.learning,
        "/metrics": health.metrics,
    }
    changes: dict[str, Change] = {
        "/queue": queues.change_jobs,
        "/leases": leases.revoke,
        "/entry": entries.change_entry,
    }
    console = Starlette(
        routes=[
            *(Route(path, _looking(page), methods=["GET"]) for path, page in pages.items()),
            *(Route(path, _changing(act), methods=["POST"]) for path, act in changes.items()),
            Route("/healthz", health.health, methods=["GET"]),
            Route("/login", signing_in.page, methods=["GET"]),
            Route("/login", signing_in.sign_in, methods=["POST"]),
            Route("/logout", signing_in.sign_out, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=access.hosts)],
        exception_handlers={404: _not_found},
    )
    console.state.console = Console(memory, access, shown_url)
    return console


def _looking(page: Page) -> Page:
    """Have a page tell what is wrong with what was asked, or with the memory."""

    @wraps(page)
    async def shown(request: Request) -> Response:
        access = console_of(request).access
        if access.private and not access.has_session(request):
            return go_to(request, "/login")
        try:
            return await page(request)
        except AqeError as error:
            # Errors of what was asked are ValueErrors, too; all others are the memory's.
            return _trouble(request, str(error), 400 if isinstance(error, ValueError) else 503)

    return shown


def _changing(act: Change) -> Page:
    """Let only forms of our own pages change something, in a session that lasts."""

    @wraps(act)
    async def done(request: Request) -> Response:
        access = console_of(request).access
        if not access.write:
            return _trouble(request, "This console only shows; start it with --write.", 403)
        # Before the form is read: whoever has no session has nothing to send.
        if not access.may_send(request):
            return _trouble(request, "Sign in first, then send the form again.", 403)
        form = await forms.read(request)
        if form is None:
            return _trouble(request, "The form is larger than any that this console sends.", 413)
        if not access.owns(request, form.first("form_key")):
            return _trouble(request, "This form is of another session; open its page anew.", 403)
        return await act(request, form)

    return _looking(done)


def _trouble(request: Request, said: str, status: int) -> Response:
    return render(request, "trouble.html", said=said, status=status)


async def _not_found(request: Request, error: Exception) -> Response:
    del error
    access = console_of(request).access
    if access.private and not access.has_session(request):
        return PlainTextResponse("Not found.\n", status_code=404)
    return _trouble(request, "There is no such page.", 404)

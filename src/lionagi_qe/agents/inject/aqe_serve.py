"""Serves the project's app on a port of this machine, and has schemathesis test it there.

``python -m aqe_serve MODULE:ATTRIBUTE OVERLAYS SCHEMA ARGUMENTS...``: ``ATTRIBUTE()`` is a factory,
SCHEMA a path of the app, with a slash, or a file. An ASGI app is served by uvicorn, a WSGI app by
the standard library. The app and schemathesis are two processes: neither is imported by the other.
Imports nothing of the fleet.
"""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
import threading
from importlib import import_module
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

HOST = "127.0.0.1"
# When the app could not be imported, or does not start.
UNFIT = 70
_SCOPE_RECEIVE_SEND = 3


def main(arguments: list[str]) -> int:
    """Return schemathesis' exit code, or UNFIT, with the reason as the last line of the output."""
    spec, overlays, schema, *words = arguments
    try:
        app = _app(spec)
    except BaseException as error:  # noqa: BLE001 - whatever the project's code raises, SystemExit too
        sys.stderr.write(f"{spec}: {type(error).__name__}: {error}\n")
        return UNFIT
    listening = socket.socket()
    listening.bind((HOST, 0))
    listening.listen(128)
    origin = f"http://{HOST}:{listening.getsockname()[1]}"
    output = os.dup(1)
    serve = _asgi if _is_asgi(app) else _wsgi
    threading.Thread(target=serve, args=(app, listening), daemon=True).start()
    # What the app says of each of thousands of requests is nobody's to read.
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    # Whatever servers the schema names, requests go to this one alone.
    place = (
        [origin + schema, "--origin", origin] if schema[:1] == "/" else [schema, "--url", origin]
    )
    launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "aqe_launch.py")  # noqa: PTH100, PTH118, PTH120
    command = [sys.executable, launcher, "", overlays, "", "", "schemathesis.cli", "--no-color"]
    return subprocess.call([*command, "run", *place, *words], stdout=output, stderr=output)  # noqa: S603


def _app(spec: str) -> Any:  # noqa: ANN401 - of the project
    module, _, name = spec.partition(":")
    found: Any = import_module(module)
    for part in name.removesuffix("()").split("."):
        found = getattr(found, part)
    return found() if name.endswith("()") else found


def _is_asgi(app: Any) -> bool:  # noqa: ANN401
    call = app if inspect.isroutine(app) else app.__call__
    if inspect.iscoroutinefunction(call):
        return True
    required = [
        each
        for each in inspect.signature(call).parameters.values()
        if each.default is each.empty
        and each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
    ]
    return len(required) == _SCOPE_RECEIVE_SEND


def _asgi(app: Any, listening: socket.socket) -> None:  # noqa: ANN401
    uvicorn = import_module("uvicorn")
    config = uvicorn.Config(app, log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Say nothing."""


def _wsgi(app: Any, listening: socket.socket) -> None:  # noqa: ANN401
    server = _Server(listening.getsockname(), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.server_name, server.server_port = listening.getsockname()
    server.setup_environ()
    server.set_app(app)
    server.serve_forever()


if __name__ == "__main__":
    sys.stderr.flush()
    os._exit(main(sys.argv[1:]))

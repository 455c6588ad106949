"""Imports what the tests' programs need once, and forks for each of them.

Run as ``python -m tests.prefork_server DESCRIPTOR``. A request is a message on that socket: what
to run, its arguments, environment and directory as JSON, and four descriptors: its standard
streams, and where its process is told of: its number when it began, its status when it has ended.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
import types
from pathlib import Path
from typing import Any

LONGEST_MESSAGE = 160 * 1024
COMMANDS = "lionagi_qe.cli.main"
_MODULES = (
    COMMANDS,
    "lionagi_qe.cli.run",
    "lionagi_qe.cli.memory",
    "lionagi_qe.cli.mutate",
    "lionagi_qe.cli.worker",
    "lionagi_qe.persistence.sqlite.backend",
    "lionagi_qe.persistence.postgres.backend",
    "lionagi_qe.persistence.redis.backend",
    "lionagi_qe.learning",
    "lionagi_qe.fleet.report.html",
    "lionagi_qe.fleet.report.junit",
    # Which commands import where they need them.
    "cryptography.hazmat.primitives.ciphers.aead",
    "rich.console",
)


def serve(descriptor: int) -> None:
    """Fork for each request until the other end is closed."""
    for module in _MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=descriptor) as server, selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    message, streams, _, _ = socket.recv_fds(server, LONGEST_MESSAGE, 4)
                    if not message:
                        return
                    _begin(selector, json.loads(message), streams)
                else:
                    _tell_the_end(selector, key.fd, *key.data)


def _begin(selector: selectors.BaseSelector, request: dict[str, Any], streams: list[int]) -> None:
    *standard, told = streams
    process = os.fork()
    if not process:
        for key in (*selector.get_map().values(),):
            os.close(key.fd)
            if key.data is not None:
                os.close(key.data[1])
        os.close(told)
        _become(request, standard)
    for stream in standard:
        os.close(stream)
    os.write(told, f"{process}\n".encode())
    selector.register(os.pidfd_open(process), selectors.EVENT_READ, (process, told))


def _tell_the_end(selector: selectors.BaseSelector, handle: int, process: int, told: int) -> None:
    selector.unregister(handle)
    os.close(handle)
    _, status = os.waitpid(process, 0)
    try:
        os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    except BrokenPipeError:
        # Nobody waits for it any more.
        pass
    finally:
        os.close(told)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Be the process that was asked for, to its end."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        # What Python found out about the server's own does not hold for these.
        own = _stream(getattr(sys, f"__{name}__"), number)
        setattr(sys, name, own)
        setattr(sys, f"__{name}__", own)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    code: object
    try:
        code = _run(**request["program"])
    except SystemExit as error:
        code = error.code
        if code is not None and not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
    except KeyboardInterrupt:
        traceback.print_exc()
        code = -signal.SIGINT
    except BaseException:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
        code = 1
    _end(code if isinstance(code, int) else 0)


def _run(kind: str, name: str, arguments: list[str]) -> object:
    sys.argv = [name, *arguments]
    match kind:
        case "aqe":
            sys.path[0] = str(Path(name).parent) if Path(name).is_absolute() else str(Path.cwd())
            main = importlib.import_module(COMMANDS)
            sys.argv[0] = name if Path(name).is_absolute() else str(main.__file__)
            return main.main()
        case "script":
            sys.path[0] = str(Path(name).parent)
            runpy.run_path(name, run_name="__main__")
        case "module":
            sys.path[0] = str(Path.cwd())
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        case _:
            sys.path[0] = ""
            sys.argv[0] = "-c"
            own = types.ModuleType("__main__")
            sys.modules["__main__"] = own
            exec(compile(name, "<string>", "exec"), own.__dict__)  # noqa: S102 - as asked
    return None


def _end(code: int) -> None:
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    # What was left open complains.
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # As of a process that can't write what it still has to say.
            code = 120
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


def _stream(model: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    raw = io.FileIO(number, "w" if number else "r", closefd=False)
    buffered = io.BufferedWriter(raw) if number else io.BufferedReader(raw)
    return io.TextIOWrapper(
        buffered,
        model.encoding,
        model.errors,
        line_buffering=model.line_buffering,
        write_through=model.write_through,
    )


if __name__ == "__main__":
    serve(int(sys.argv[1]))

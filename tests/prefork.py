"""``aqe`` as a process of its own, without what it takes to import it anew each time.

A server imports the commands once and forks for each call: arguments, directory, environment and
standard streams are the caller's, the end is that of a process. Where the environment decides how
Python itself starts, it is started.

Run as a program, this is the server; its argument is the descriptor of its socket.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AQE = Path(sys.executable).with_name("aqe")
_MODULES = ("lionagi_qe.cli.main", "lionagi_qe.cli.run", "lionagi_qe.cli.memory")
_LONGEST_MESSAGE = 160 * 1024
_OF_PYTHON = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC")
_servers: dict[tuple[str, ...], _Server] = {}


class Done(NamedTuple):
    """How a process ended, and what it printed."""

    code: int
    output: bytes
    complaints: bytes


def call(
    arguments: Sequence[str],
    *,
    flags: Sequence[str] = (),
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None = None,
    given: bytes = b"",
    timeout: float = 240,
) -> Done:
    """Run ``aqe`` to its end.

    Args:
        arguments: of ``aqe``.
        flags: of Python, which then runs the module; the script ``aqe`` without them.
        env: the whole environment.
        cwd: where it runs.
        given: its standard input.
        timeout: seconds, after which it is killed and subprocess.TimeoutExpired raised.

    """
    if _interpreter_settings(env) != _interpreter_settings(os.environ):
        command = [sys.executable, *flags, "-m", _MODULES[0]] if flags else [str(AQE)]
        done = subprocess.run(
            [*command, *arguments],
            input=given,
            capture_output=True,
            env=dict(env),
            cwd=cwd,
            check=False,
            timeout=timeout,
        )
        return Done(done.returncode, done.stdout, done.stderr)
    known = tuple(flags)
    if known not in _servers:
        _servers[known] = _Server(flags)
    request = {
        "arguments": list(arguments),
        "env": dict(env),
        "cwd": os.fspath(cwd or Path.cwd()),
        "script": "" if flags else str(AQE),
    }
    return _servers[known].call(request, given, time.monotonic() + timeout)


def _interpreter_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_OF_PYTHON)}


class _Server:
    """The process that forks, as its caller sees it."""

    def __init__(self, flags: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *flags, "-m", "tests.prefork", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[1],
            )
        atexit.register(self._close)

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()

    def call(self, request: dict[str, Any], given: bytes, deadline: float) -> Done:
        pipes = [os.pipe() for _ in range(3)]
        (stdin, feed), (out, stdout), (err, stderr) = pipes
        message = json.dumps(request).encode()
        assert len(message) < _LONGEST_MESSAGE
        socket.send_fds(self._socket, [message], [stdin, stdout, stderr])
        for theirs in (stdin, stdout, stderr):
            os.close(theirs)
        process = int(self._socket.recv(64))
        feeding = threading.Thread(target=_feed, args=(feed, given))
        feeding.start()
        try:
            output, complaints = _read(out, err, deadline)
        except TimeoutError:
            os.kill(process, signal.SIGKILL)
            raise subprocess.TimeoutExpired(request["arguments"], 0) from None
        finally:
            status = int(self._socket.recv(64))
            feeding.join()
        return Done(os.waitstatus_to_exitcode(status), output, complaints)


def _feed(descriptor: int, given: bytes) -> None:
    with open(descriptor, "wb") as pipe, contextlib.suppress(BrokenPipeError):
        pipe.write(given)


def _read(out: int, err: int, deadline: float) -> tuple[bytes, bytes]:
    """Read two pipes to their ends; TimeoutError at the deadline."""
    found = {out: bytearray(), err: bytearray()}
    with selectors.DefaultSelector() as selector:
        for descriptor in found:
            selector.register(descriptor, selectors.EVENT_READ)
        try:
            while selector.get_map():
                ready = selector.select(deadline - time.monotonic())
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    part = os.read(key.fd, 65536)
                    found[key.fd] += part
                    if not part:
                        selector.unregister(key.fd)
        finally:
            os.close(out)
            os.close(err)
    return bytes(found[out]), bytes(found[err])


def _serve(descriptor: int) -> None:
    for module in _MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=descriptor) as server:
        while True:
            message, streams, _, _ = socket.recv_fds(server, _LONGEST_MESSAGE, 3)
            if not message:
                return
            process = os.fork()
            if not process:
                server.detach()
                os.close(descriptor)
                _become(json.loads(message), streams)
            for stream in streams:
                os.close(stream)
            server.send(str(process).encode())
            _, status = os.waitpid(process, 0)
            server.send(str(status).encode())


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
    script = request["script"]
    sys.path[0] = str(Path(script).parent) if script else request["cwd"]
    main = importlib.import_module(_MODULES[0])
    sys.argv = [script or str(main.__file__), *request["arguments"]]
    code: object
    try:
        code = main.main()
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # As of a process that can't write what it still has to say.
            code = 120
    os._exit(int(code) if isinstance(code, int) else 0 if code is None else 1)


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
    _serve(int(sys.argv[1]))

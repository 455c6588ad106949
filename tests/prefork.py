"""``aqe`` and programs of the tests as processes of their own, without what imports take each time.

A server imports the package once and forks for each call: arguments, directory, environment and
standard streams are the caller's, the end is that of a process. Where the environment decides how
Python itself starts, it is started.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tests.prefork_server import COMMANDS, LONGEST_MESSAGE

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping, Sequence

AQE = Path(sys.executable).with_name("aqe")
_OF_PYTHON = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC")
# Passed, gate failed, infrastructure, not measured: the command came to its end.
_WROTE_ALL = (0, 1, 3, 4)
_servers: dict[tuple[str, ...], _Server] = {}


class Opened(Protocol):
    """What tests do with a process that goes on beside them."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...
    def kill(self) -> None: ...
    def terminate(self) -> None: ...


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
    """Run ``aqe`` to its end; a JSON document that it prints has to keep to its schema.

    Args:
        arguments: of ``aqe``.
        flags: of Python, which then runs the module; the script ``aqe`` without them.
        env: the whole environment.
        cwd: where it runs.
        given: its standard input.
        timeout: seconds, after which it is killed and subprocess.TimeoutExpired raised.

    """
    if _starts_otherwise(env):
        command = [sys.executable, *flags, "-m", COMMANDS] if flags else [str(AQE)]
        done = subprocess.run(
            [*command, *arguments],
            input=given,
            capture_output=True,
            env=dict(env),
            cwd=cwd,
            check=False,
            timeout=timeout,
        )
        return _checked(arguments, Done(done.returncode, done.stdout, done.stderr))
    program = {
        "kind": "aqe",
        "name": COMMANDS if flags else str(AQE),
        "arguments": list(arguments),
    }
    request = {"program": program, "env": dict(env), "cwd": os.fspath(cwd or Path.cwd())}
    deadline = time.monotonic() + timeout
    return _checked(arguments, _server(flags).call(request, given, deadline))


async def start(
    kind: str,
    name: object,
    *arguments: object,
    flags: Sequence[str] = (),
    stdin: int | None = None,
    stderr: int | None = PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a program that has the package imported already.

    Args:
        kind: "script" (``name`` is its path), "module", "code" or "aqe" (``name`` is COMMANDS).
        name: what to run.
        arguments: its arguments.
        flags: of Python.
        stdin: PIPE, or nothing to read.
        stderr: PIPE, DEVNULL, a descriptor, or None for that of the tests.
        cwd: where it runs; here without one.
        env: what is added to the environment.

    """
    environment = {**os.environ, **(env or {})}
    if _starts_otherwise(environment):
        switch = {"script": (), "code": ("-c",)}.get(kind, ("-m",))
        words = (*flags, *switch, str(name), *map(str, arguments))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=stdin,
            stdout=PIPE,
            stderr=stderr,
            cwd=cwd,
            env=environment,
        )
    program = {"kind": kind, "name": str(name), "arguments": [*map(str, arguments)]}
    request = {"program": program, "env": environment, "cwd": os.fspath(cwd or Path.cwd())}
    # It has all of asyncio's Process that tests use.
    return await _server(flags).start(request, stdin, stderr)  # type: ignore[return-value]


def open_aqe(
    *arguments: object, env: Mapping[str, str], cwd: Path, stdout: Path, stderr: Path
) -> Opened:
    """Start ``aqe``, which goes on beside the caller.

    Args:
        arguments: its own.
        env: the whole environment.
        cwd: where it runs.
        stdout: file that gets its output.
        stderr: file that gets its complaints.

    """
    words = [*map(str, arguments)]
    with stdout.open("wb") as out, stderr.open("wb") as err:
        if _starts_otherwise(env):
            command = [str(AQE), *words]
            return subprocess.Popen(command, env=dict(env), cwd=cwd, stdout=out, stderr=err)
        program = {"kind": "aqe", "name": str(AQE), "arguments": words}
        request = {"program": program, "env": dict(env), "cwd": os.fspath(cwd)}
        return _server(()).open(request, out.fileno(), err.fileno())


def _checked(arguments: Sequence[str], done: Done) -> Done:
    if "--json" in arguments and done.code in _WROTE_ALL:
        # Not where this is the server: what it takes would be in each of its children.
        from tests import json_documents

        json_documents.check(arguments, done.output)
    return done


def _starts_otherwise(env: Mapping[str, str]) -> bool:
    return _interpreter_settings(env) != _interpreter_settings(os.environ)


def _interpreter_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_OF_PYTHON)}


def _server(flags: Sequence[str]) -> _Server:
    known = tuple(flags)
    if known not in _servers:
        _servers[known] = _Server(flags)
    return _servers[known]


class _Server:
    """The process that forks, as its caller sees it."""

    def __init__(self, flags: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *flags, "-m", "tests.prefork_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[1],
            )
        atexit.register(self._close)

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()

    def _send(self, request: dict[str, Any], *streams: int) -> int:
        """Have a process begin; return where its number and its end are told."""
        told, tells = os.pipe()
        message = json.dumps(request).encode()
        assert len(message) < LONGEST_MESSAGE
        socket.send_fds(self._socket, [message], [*streams, tells])
        os.close(tells)
        return told

    def call(self, request: dict[str, Any], given: bytes, deadline: float) -> Done:
        pipes = [os.pipe() for _ in range(3)]
        (stdin, feed), (out, stdout), (err, stderr) = pipes
        told = self._send(request, stdin, stdout, stderr)
        for theirs in (stdin, stdout, stderr):
            os.close(theirs)
        with os.fdopen(told) as telling:
            process = int(telling.readline())
            feeding = threading.Thread(target=_feed, args=(feed, given))
            feeding.start()
            try:
                output, complaints = _read(out, err, deadline)
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(request["program"]["arguments"], 0) from None
            finally:
                code = int(telling.readline())
                feeding.join()
        return Done(code, output, complaints)

    def open(self, request: dict[str, Any], stdout: int, stderr: int) -> _Opened:
        with Path(os.devnull).open("rb") as nothing:
            return _Opened(self._send(request, nothing.fileno(), stdout, stderr))

    async def start(
        self, request: dict[str, Any], stdin: int | None, stderr: int | None
    ) -> _Forked:
        theirs: list[int] = []
        ours: list[int | None] = []
        for number, asked in enumerate((stdin or DEVNULL, PIPE, stderr)):
            if asked == PIPE:
                reads, writes = os.pipe()
                theirs.append(writes if number else reads)
                ours.append(reads if number else writes)
                continue
            theirs.append(
                os.open(os.devnull, os.O_RDWR)
                if asked == DEVNULL
                else os.dup(number if asked is None else asked)
            )
            ours.append(None)
        told = self._send(request, *theirs)
        for stream in theirs:
            os.close(stream)
        into, out, err = ours
        assert out is not None
        return await _Forked.follow(told, into, out, err)


class _Opened:
    """A process as ``subprocess.Popen`` shows one, though another is its parent."""

    def __init__(self, told: int) -> None:
        self._telling = os.fdopen(told)
        self.pid = int(self._telling.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            ready, _, _ = select.select([self._telling], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._telling.readline())
            self._telling.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


@dataclass
class _Forked:
    """A process as ``asyncio.subprocess.Process`` shows one, though another is its parent."""

    pid: int
    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader | None
    _ended: asyncio.Task[int]

    @classmethod
    async def follow(cls, told: int, into: int | None, out: int, err: int | None) -> _Forked:
        telling = await _reader(told)
        process = int(await telling.readline())
        return cls(
            process,
            None if into is None else await _writer(into),
            await _reader(out),
            None if err is None else await _reader(err),
            asyncio.create_task(_end_of(telling)),
        )

    @property
    def returncode(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def communicate(self) -> tuple[bytes, bytes | None]:
        if self.stdin is not None:
            self.stdin.close()
        output, complaints = await asyncio.gather(self.stdout.read(), _all_of(self.stderr))
        await self.wait()
        return output, complaints

    def send_signal(self, number: int) -> None:
        if self._ended.done():
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


async def _end_of(telling: asyncio.StreamReader) -> int:
    return int(await telling.readline())


async def _all_of(stream: asyncio.StreamReader | None) -> bytes | None:
    return None if stream is None else await stream.read()


async def _reader(descriptor: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, io.FileIO(descriptor, "r"))
    return reader


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop=loop),
        io.FileIO(descriptor, "w"),
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


def _feed(descriptor: int, given: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe, contextlib.suppress(BrokenPipeError):
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

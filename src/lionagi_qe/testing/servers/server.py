"""What all test servers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from lionagi_qe.testing.servers.errors import ServerStartError
from lionagi_qe.testing.servers.ports import free_port, wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from lionagi_qe.testing.servers.runner import Runner

_TRIES = 5
_COME_UP = 60.0


class Server(ABC):
    """A server of our own, listening on 127.0.0.1 only; ``with`` starts and removes it.

    ``start`` waits until it answers. ``stop``, ``kill`` and ``restart`` keep its port and data;
    ``close``, leaving ``with``, or the end of this process in whatever way, removes all of it.
    """

    def __init__(self) -> None:
        self._port = 0
        self._runner: Runner | None = None

    @property
    def port(self) -> int:
        """The port it listens on, the same across restarts."""
        if self._runner is None:
            msg = f"{type(self).__name__} has no port before it is started; call start()"
            raise ServerStartError(msg)
        return self._port

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect to."""

    @property
    @abstractmethod
    def version(self) -> str:
        """The server's version, e.g. ``15.18``."""

    @abstractmethod
    def _prepare(self, port: int) -> Runner:
        """Make what runs the server on this port."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether clients are served now."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start it and wait until it answers; after ``stop`` or ``kill``, with port and data kept.

        Does nothing if it runs.

        Raises:
            ServerStartError: it didn't come up; the message quotes its log.

        """
        if self._runner is not None:
            if not self._runner.running():
                self._bring_up(self._runner)
            return
        for attempt in range(1, _TRIES + 1):
            self._port = self._choose_port()
            runner = self._prepare(self._port)
            try:
                self._bring_up(runner)
            except BaseException as error:
                # Somebody may have taken the port since we looked.
                taken = "already in use" in str(error) or "already allocated" in str(error)
                runner.close()
                if not taken or attempt == _TRIES:
                    raise
            else:
                self._runner = runner
                return

    def stop(self) -> None:
        """End it in good order."""
        self._started().stop()

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL)."""
        self._started().kill()

    def restart(self) -> None:
        """End it in good order and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers."""
        self._started().pause()

    def resume(self) -> None:
        """Let it go on after ``pause`` (SIGCONT)."""
        self._started().resume()

    def close(self) -> None:
        """End it and remove its data; a second call does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def running(self) -> bool:
        """Whether its process lives, paused or not."""
        return self._runner is not None and self._runner.running()

    def log(self) -> str:
        """Return the end of its log."""
        return self._started().log()

    def _choose_port(self) -> int:
        return free_port()

    def _started(self) -> Runner:
        if self._runner is None:
            msg = f"{type(self).__name__} was not started; call start() or use it in 'with'"
            raise ServerStartError(msg)
        return self._runner

    def _bring_up(self, runner: Runner) -> None:
        runner.start()

        def up() -> bool:
            if self.answers():
                return True
            if not runner.running():
                msg = f"{type(self).__name__} ended while it started; it said:\n{runner.log()}"
                raise ServerStartError(msg)
            return False

        wait_until(up, f"{type(self).__name__} on port {self._port} answers", timeout=_COME_UP)

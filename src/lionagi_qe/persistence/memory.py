"""The shared memory: one contract over every backend.

Keys, values, TTL and limits are checked in ``calls``, once, before anything leaves the process;
calls are batched on the way; a backend only sees checked keys and encoded values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.calls.base import MAX_BATCH, Limits
from lionagi_qe.persistence.calls.batches import BatchCalls
from lionagi_qe.persistence.calls.bulk import BulkCalls
from lionagi_qe.persistence.calls.entries import EntryCalls
from lionagi_qe.persistence.calls.jobs import JobCalls
from lionagi_qe.persistence.calls.leases import LeaseCalls
from lionagi_qe.persistence.calls.ranges import RangeCalls
from lionagi_qe.persistence.calls.recalls import RecallCalls
from lionagi_qe.persistence.calls.watches import WatchCalls
from lionagi_qe.persistence.contract.leases import fence_of
from lionagi_qe.persistence.encryption.backend import EncryptedBackend
from lionagi_qe.persistence.hidden_names.backend import HiddenNamesBackend
from lionagi_qe.persistence.hidden_names.names import KEY_BYTES, Names, names_of
from lionagi_qe.persistence.scheduling.scheduler import Scheduler
from lionagi_qe.persistence.scopes.scheduler import ScopedScheduler
from lionagi_qe.persistence.scopes.scope import Scope
from lionagi_qe.persistence.transaction import Transaction
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.codec import MAX_VALUE_BYTES
from lionagi_qe.persistence.values.entry import check_count, check_flag, check_seconds, check_ttl
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET
from lionagi_qe.telemetry import telemetry_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from lionagi_qe.persistence.contract.backend import Backend, Capabilities
    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.encryption.keys import KeyRing
    from lionagi_qe.persistence.scheduling.scheduler import Life
    from lionagi_qe.telemetry import Telemetry

DEFAULT_TIMEOUT = 10.0
DEFAULT_CLEANUP_INTERVAL = 60.0


class MemorySettings(TypedDict, total=False):
    """The settings that every memory takes by keyword; see Memory."""

    fleet: str
    timeout: float
    max_value_bytes: int
    max_batch: int
    migrate: bool
    cleanup_interval: float | None
    keys: KeyRing | None
    hide_names: str | None
    default_ttl: float | timedelta | None
    telemetry: Telemetry | bool | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the packages above stand on; a user of a memory needs none of it.

    Attributes:
        backend: where the data lives.
        jobs: the calls of coordination.WorkQueue.
        leases: the calls of coordination.Lease.
        bulk: the calls of transfer.
        keys: by which it seals, None if it doesn't.
        telemetry: who is told what it does, None if nobody is.
    """

    backend: Backend
    jobs: JobCalls
    leases: LeaseCalls
    bulk: BulkCalls
    keys: KeyRing | None = None
    telemetry: Telemetry | None = None


class Memory(EntryCalls, BatchCalls, RangeCalls, WatchCalls, RecallCalls):
    """A durable key-value memory that agents share.

    Use it as ``async with open_memory(url) as memory``; it also opens itself on the first call,
    and then wants ``await memory.close()``. One Memory serves many coroutines of one event loop.

    Args:
        backend: where the data lives.
        fleet: fleets that share a server don't see each other.
        timeout: seconds after which a call fails with BackendUnavailableError.
        max_value_bytes: largest JSON encoding of one value, in bytes.
        max_batch: most items of one batch call.
        migrate: make on opening what isn't there: the memory, the fleet, migrations of the schema.
            False makes and changes none of it, and raises SchemaMissingError if something lacks.
        cleanup_interval: seconds between sweeps of expired entries (one member of the fleet is
            elected for each); None for none. They shorten PostgreSQL's log of changes too, which
            else only ``cleanup_expired`` does.
        keys: seal values, jobs, results and holders of leases before they leave the process; a
            memory that others use with keys is used with keys by all.
        hide_names: the id of one of ``keys``, by which names of keys, partitions, queues, leases
            and schedules are hidden from the store, too; for ever, and by all who use the memory.
            Keys are then found by whole segments, in an order of their own: see docs/memory.md.
        default_ttl: seconds (or timedelta) until an entry expires that ``store``, ``store_many`` or
            a transaction's ``store`` puts without a ttl; None for ever. It is this object's, and
            its scopes'; what calls without a ttl make (``increment``, ``update``, learned values)
            lasts.
        telemetry: tell OpenTelemetry of calls, jobs, leases and runs: True by its global providers,
            a ``Telemetry`` by its own. None is what ``$AQE_OTEL`` says, which is no by default.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        backend: Backend,
        *,
        fleet: str = DEFAULT_FLEET,
        timeout: float = DEFAULT_TIMEOUT,
        max_value_bytes: int = MAX_VALUE_BYTES,
        max_batch: int = MAX_BATCH,
        migrate: bool = True,
        cleanup_interval: float | None = DEFAULT_CLEANUP_INTERVAL,
        keys: KeyRing | None = None,
        hide_names: str | None = None,
        default_ttl: float | timedelta | None = None,
        telemetry: Telemetry | bool | None = None,
    ) -> None:
        naming.check_fleet(fleet)
        if hide_names is not None:
            backend = _with_hidden_names(backend, keys, hide_names, fleet)
        if keys is not None:
            backend = EncryptedBackend(backend, keys, fleet)
        timeout = check_seconds("timeout", timeout)
        interval = cleanup_interval
        if interval is not None:
            interval = check_seconds("cleanup_interval", interval)
        told = telemetry_for(telemetry)
        life: Life = {
            "migrate": check_flag("migrate", migrate),
            "timeout": timeout,
            "cleanup_interval": interval,
        }
        scheduler = _scheduler_for(backend, fleet, told, life)
        limits: Limits = {
            "max_value_bytes": check_count("max_value_bytes", max_value_bytes),
            "max_batch": check_count("max_batch", max_batch),
            "default_ttl_ms": check_ttl(default_ttl, "default_ttl"),
        }
        self._stand_on(scheduler, fleet, limits, None, keys, told)

    def _stand_on(  # noqa: PLR0913, PLR0917 - what a memory and its scopes have in common
        self,
        scheduler: Scheduler,
        fleet: str,
        limits: Limits,
        scope: Scope | None,
        keys: KeyRing | None,
        telemetry: Telemetry | None,
    ) -> None:
        super().__init__(scheduler, **limits)
        self._fleet = fleet
        self._limits = limits
        self._scope = scope
        self._parts = Parts(
            scheduler.backend,
            JobCalls(scheduler, **limits),
            LeaseCalls(scheduler, **limits),
            BulkCalls(scheduler, **limits),
            keys,
            telemetry,
        )

    def transaction(
        self, *, fence: Fence | Fenced | None = None, timeout: float | None = None
    ) -> Transaction:
        """Collect changes of entries and jobs, and apply them in one atomic step.

        ::

            async with memory.transaction() as tx:
                tx.store("aqe/plans/v1", plan)
                await queue.put({"plan": "v1"}, transaction=tx)

        All or nothing, in one round trip, when the block is left without an error; the first
        change that is refused (RevisionConflictError, JobLostError, ...; StaleFenceError unless
        ``fence`` is held) is raised. On Redis Cluster all of it must lie in one shard, else
        CrossShardError: see ``colocate`` of RedisMemory.
        """
        return Transaction(
            self._scheduler,
            self._limits,
            lambda: self._scheduler.deadline(timeout),
            fence_of(fence),
        )

    def scoped(
        self,
        name: str,
        *,
        read: Iterable[str] = (),
        write: Iterable[str] = (),
        queues: Iterable[str] = (),
        leases: Iterable[str] = (),
    ) -> Memory:
        """Return a part of this memory, to be used wherever a Memory is, and nothing beside it.

        ::

            mine = memory.scoped("agent-7", read=["aqe/plans/*"], write=["aqe/agents/agent-7/*"])

        Keys, queues and leases outside are refused with AccessDeniedError before anything is sent.
        Of what is more than the scope (``search("*")``, ``list_keys()``, a watch, statistics, the
        names of queues) the part inside is returned. What has no part inside is refused. Scopes of
        a scope only narrow it. It shares the memory's connections and batches; closing it ends the
        scope and not the memory. A pattern is a glob, see ``glob``: ``*`` matches ``/`` too, and
        ``aqe/plans*`` matches ``aqe/plans-secret``.

        It bounds what is asked of it, as by tools of a language model. Python code that has the
        object can get around it: a process is no boundary.

        Args:
            name: what refusals call it.
            read: patterns of keys that may be read.
            write: patterns of keys that may be changed, and read.
            queues: patterns of names of queues, which may be put into, worked on and looked at.
            leases: patterns of names of leases, which may be taken, and given as ``fence``.

        Raises:
            InvalidArgumentError: a pattern that can't be understood, or that no key matches.

        """
        scope = Scope.of(
            name, read=read, write=write, queues=queues, leases=leases, outer=self._scope
        )
        part = Memory.__new__(Memory)
        # All that a scheduler offers, but no subclass of it: see there.
        scheduler = cast("Scheduler", ScopedScheduler(self._scheduler, scope))
        part._stand_on(  # noqa: SLF001 - one of us
            scheduler, self._fleet, self._limits, scope, self._parts.keys, self._parts.telemetry
        )
        part._share_with(self)  # noqa: SLF001 - one of us
        return part

    @property
    def fleet(self) -> str:
        """The fleet whose entries this memory sees."""
        return self._fleet

    @property
    def capabilities(self) -> Capabilities:
        """What the backend promises: its name, atomicity of batches, durability."""
        return self._scheduler.backend.capabilities

    def __repr__(self) -> str:
        backend = self._parts.backend
        name = backend.capabilities.name
        facts = [f"on {getattr(backend, 'where', '') or name}", f"fleet {self._fleet!r}"]
        if self._scope is not None:
            # Where the memory lies is not the scope's to tell, as by describe.
            facts[0] = f"scope {self._scope.name!r} on {name}"
        if self._parts.keys is not None:
            hidden = not self.capabilities.ordered
            facts.append("encrypted, names hidden" if hidden else "encrypted")
        if self.default_ttl is not None:
            facts.append(f"default_ttl {self.default_ttl:g} s")
        return f"<{type(self).__name__} {', '.join([*facts, self._scheduler.state])}>"

    # Life

    async def open(self) -> Self:
        """Connect and prepare the schema; calls do it by themselves. May be called twice."""
        await self._scheduler.open()
        return self

    async def close(self) -> None:
        """Let the calls under way end, then release everything. May be called twice."""
        await self._scheduler.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # The whole fleet

    async def get_stats(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return counts and sizes of the fleet as a plain dict.

        ``total_keys`` (live), ``total_expired`` (expired, not swept yet), ``partitions`` {name:
        live keys}, ``size_bytes`` (of the values), ``exact`` (False where figures are estimates),
        ``backend``, ``fleet``; the server's own figures under ``server`` and, under ``pool``, how
        many connections this memory has, both {} where there is no such thing. Which figures there
        are: docs/memory.md. It costs a count; not for each request.
        """
        stats = await self._scheduler.ask(
            lambda backend: backend.stats(), self._scheduler.deadline(timeout), "get_stats"
        )
        return {
            "backend": self.capabilities.name,
            "fleet": self._fleet,
            "total_keys": stats.total_keys,
            "total_expired": stats.total_expired,
            "partitions": dict(sorted(stats.partitions.items())),
            "size_bytes": stats.size_bytes,
            "exact": stats.exact,
            "server": stats.server,
            "pool": stats.pool,
        }

    async def cleanup_expired(self, *, timeout: float | None = None) -> int:
        """Remove expired entries for good, in bounded batches; return how many.

        Runs by itself every ``cleanup_interval`` seconds; no call ever sees an expired entry,
        swept or not.
        """
        return await self._scheduler.sweep(self._scheduler.deadline(timeout))

    async def describe(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return what a person should know of the server: version, schema, durability."""
        return await self._scheduler.ask(
            lambda backend: backend.describe(), self._scheduler.deadline(timeout), "describe"
        )


def _with_hidden_names(
    backend: Backend, keys: KeyRing | None, key_id: object, fleet: str
) -> Backend:
    if keys is None or not isinstance(key_id, str):
        msg = (
            "hide_names: give the id of the key that hides names, and keys= (or ?keys=VARIABLE) "
            "with that key, as KeyRing.from_env()"
        )
        raise ConfigurationError(msg)
    return HiddenNamesBackend(
        backend, Names(keys.derive(key_id, names_of(fleet), KEY_BYTES), key_id)
    )


def _scheduler_for(
    backend: Backend, fleet: str, telemetry: Telemetry | None, life: Life
) -> Scheduler:
    if telemetry is None:
        return Scheduler(backend, fleet, **life)
    # It needs OpenTelemetry.
    from lionagi_qe.persistence.scheduling.traced import TracedScheduler

    return TracedScheduler(backend, fleet, telemetry, **life)


def parts_of(memory: Memory) -> Parts:
    """Return what coordination, transfer and memories that wrap another build on."""
    return memory._parts  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

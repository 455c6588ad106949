"""Measures the figures that capacity is computed from, on one server."""

from __future__ import annotations

from statistics import fmean, median
from typing import TYPE_CHECKING, TypeAlias

from tests.benchmarks.capacity.filling import fill, store_places
from tests.benchmarks.capacity.meters import PostgresMeter, RedisMeter, SqliteMeter
from tests.benchmarks.capacity.operations import measure
from tests.benchmarks.capacity.ring import GROUP, Ring

from lionagi_qe import open_memory
from lionagi_qe.bench.capacity import BATCH, INDEXES, CallCost, Figures, Grid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from tests.benchmarks.capacity.meters import Meter
    from tests.benchmarks.capacity.operations import Costs

    from lionagi_qe import Memory

KEYS = (32, 64, 192)
VALUES = (50, 200, 500, 1_000, 1_500, 1_900, 2_400, 4_000, 8_000, 20_000)
_LOGGED_VALUES = (100, 500, 1_500, 4_000, 16_000)
_CALL_VALUES = (100, 500, 4_000)
_KEY = 64
_BYTES = 4_000_000
# Pages of an index split in waves: a mean over one doubling of the entries knows nothing of them.
_GROWTH = (50_000, 60_000, 70_000, 80_000, 90_000, 100_000)
_TTL = 86_400.0
_Figure: TypeAlias = "Callable[[int, int], float]"


class Bench:
    """One server, and how it is measured."""

    def __init__(self, url: str, meter: Meter, tell: Callable[[str], object]) -> None:
        self._url = url
        self._meter = meter
        self._tell = tell

    def open(self) -> Memory:
        return open_memory(self._url, fleet="capacity", timeout=120, cleanup_interval=None)

    async def all_figures(self) -> Figures:
        """Measure everything: some minutes."""
        await self._warm()
        entry = await self._entry_bytes()
        self._tell("log")
        log = await self._log_bytes()
        pages = await self._page_log_bytes(log)
        self._tell("calls")
        calls, connection, version = await self._calls()
        return Figures(
            version=version,
            entry_bytes=entry,
            update_log_bytes=log,
            page_log_bytes=pages,
            call_us=calls,
            connection_bytes=connection,
            change_bytes=await self._change_bytes(),
            tombstone_bytes=await self._tombstone_bytes(),
        )

    async def _warm(self) -> None:
        """Have the server know our statements and scripts, which take room once."""
        ring = Ring(GROUP * 40)
        async with self.open() as memory:
            await fill(memory, ring)
            await measure(memory, ring, self._meter, 1_000)

    async def _entry_bytes(self) -> dict[str, Grid]:
        cells: dict[tuple[int, int], Mapping[str, float]] = {}
        for key in KEYS:
            for value in VALUES:
                self._tell(f"entries: keys of {key}, values of {value}")
                cells[key, value] = await self._usually_filled(Ring(_count(value), key, value))
        parts = {part for cell in cells.values() for part in cell}
        grids = {
            part: _grid(KEYS, VALUES, lambda key, value, part=part: cells[key, value][part])
            for part in parts - INDEXES - {"changes"}
        }
        grown = {key: await self._grown(key) for key in KEYS}
        grids |= {
            part: Grid(
                key_bytes=KEYS,
                value_bytes=VALUES[:1],
                figures=tuple((round(grown[key][part], 2),) for key in KEYS),
            )
            for part in sorted(parts & INDEXES - {"by_expiry"})
        }
        if "by_expiry" in parts:
            bytes_each = (await self._filled(Ring(20_000, _KEY, 50), _TTL))["by_expiry"]
            grids["by_expiry"] = Grid(
                key_bytes=(_KEY,), value_bytes=(50,), figures=((round(bytes_each, 2),),)
            )
        return grids

    async def _usually_filled(self, ring: Ring) -> Mapping[str, float]:
        """Return bytes an entry by part; of Redis, whose memory holds much else, a median."""
        rounds = 3 if isinstance(self._meter, RedisMeter) else 1
        samples = [await self._filled(ring) for _ in range(rounds)]
        return {part: median(sample[part] for sample in samples) for part in samples[0]}

    async def _filled(self, ring: Ring, ttl: float | None = None) -> Mapping[str, float]:
        """Return bytes an entry by part."""
        await self._meter.empty()
        async with self.open() as memory:
            await memory.list_keys("aqe/capacity/")
        # While it is closed: a server's buffers for large batches are not the entries'.
        before = await self._meter.sizes()
        async with self.open() as memory:
            for places in ring.batches():
                await store_places(memory, ring, places, ttl=ttl)
        after = await self._meter.sizes()
        return {part: (size - before[part]) / ring.entries for part, size in after.items()}

    async def _grown(self, key_bytes: int) -> Mapping[str, float]:
        """Return bytes an entry by part, the mean while a memory grows to twice its size."""
        if not isinstance(self._meter, (PostgresMeter, SqliteMeter)):
            return {}
        self._tell(f"indexes: keys of {key_bytes}")
        await self._meter.empty()
        ring = Ring(_GROWTH[-1], key_bytes, VALUES[0])
        samples: list[Mapping[str, float]] = []
        async with self.open() as memory:
            for until in _GROWTH:
                await fill(memory, ring, until=until)
                sizes = await self._meter.sizes()
                samples.append({part: size / until for part, size in sizes.items()})
        return {part: fmean(sample[part] for sample in samples) for part in samples[0]}

    async def _log_bytes(self) -> dict[str, Grid]:
        cells: dict[tuple[str, int], float] = {}
        for value in _LOGGED_VALUES:
            await self._meter.empty()
            ring = Ring(_count(value, 10_000_000, 20_000), _KEY, value)
            async with self.open() as memory:
                await fill(memory, ring)
                # Once round before: pages then are as they stay.
                for places in ring.batches():
                    await store_places(memory, ring, places, 1)
                # Few: SQLite begins its log anew after 1,000 pages.
                places = ring.places(BATCH, seed=5)
                alone = places[: BATCH // 2]
                cells["store", value] = await self._logged(_stored(memory, ring, alone))
                cells["store_many", value] = (
                    await self._logged(
                        [
                            lambda: store_places(memory, ring, places, 3)  # noqa: B023 - called at once
                        ]
                    )
                    / 2
                )
                cells["delete", value] = await self._logged(
                    [
                        lambda at=at: memory.delete(ring.key(at))  # noqa: B023 - called at once
                        for at in alone
                    ]
                )
        return {
            call: _grid([_KEY], _LOGGED_VALUES, lambda _, value, call=call: cells[call, value])
            for call in ("store", "store_many", "delete")
        }

    async def _logged(self, calls: Iterable[Callable[[], Awaitable[object]]]) -> float:
        """Return bytes of log, a fiftieth of those of the calls."""
        await self._meter.begin_log()
        before = await self._meter.logged() or 0
        for call in calls:
            await call()
        return ((await self._meter.logged() or 0) - before) / (BATCH // 2)

    async def _page_log_bytes(self, log: Mapping[str, Grid]) -> float:
        if not isinstance(self._meter, PostgresMeter):
            return 0.0
        await self._meter.empty()
        value = 300
        ring = Ring(10_000, _KEY, value)
        async with self.open() as memory:
            await fill(memory, ring)
            keys = await self._meter.keys_on_pages_of_their_own(200)
            await self._meter.begin_log(whole_pages=True)
            before = await self._meter.logged()
            for key in keys:
                await memory.store(key, ring.value(1, 2), partition=ring.partition(1))
            taken = (await self._meter.logged() - before) / len(keys)
        await self._meter.begin_log()
        return taken - log["store"].at(_KEY, value)

    async def _calls(self) -> tuple[dict[str, CallCost], float, str]:
        costs: dict[int, Costs] = {}
        connection, version = 0.0, ""
        for value in _CALL_VALUES:
            self._tell(f"calls: values of {value}")
            await self._meter.empty()
            ring = Ring(10_000, _KEY, value)
            async with self.open() as memory:
                await fill(memory, ring)
                costs[value] = await measure(memory, ring, self._meter)
                connection = await self._meter.connection_bytes(memory)
                version = str((await memory.describe())["server"])
        calls = {
            name: CallCost(
                server=_grid([_KEY], _CALL_VALUES, lambda _, v, name=name: costs[v][name].server),
                client=_grid([_KEY], _CALL_VALUES, lambda _, v, name=name: costs[v][name].client),
            )
            for name in costs[_CALL_VALUES[0]]
        }
        return calls, connection, version

    async def _change_bytes(self) -> float:
        """Return what the log of changes grows by for each store of an entry that is there."""
        await self._meter.empty()
        ring = Ring(2_000, _KEY, 300)
        async with self.open() as memory:
            await fill(memory, ring)
            before = (await self._meter.sizes()).get("changes", 0)
            for call in _stored(memory, ring, ring.places(2_000, seed=6)):
                await call()
            return ((await self._meter.sizes()).get("changes", 0) - before) / ring.entries

    async def _tombstone_bytes(self) -> float:
        await self._meter.empty()
        ring = Ring(4_000, _KEY, 300)
        async with self.open() as memory:
            before = await self._meter.sizes()
            await fill(memory, ring)
            for places in ring.batches():
                await memory.delete_many([ring.key(at) for at in places])
        await self._meter.compact()
        sizes = await self._meter.sizes()
        kept = sum(size - before[part] for part, size in sizes.items() if part != "changes")
        return kept / ring.entries


def _stored(memory: Memory, ring: Ring, places: list[int]) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda at=at: memory.store(ring.key(at), ring.value(at, 2), partition=ring.partition(at))
        for at in places
    ]


def _count(value_bytes: int, total: int = _BYTES, most: int = 6_000) -> int:
    """Return how many entries of a size to measure with, whole batches."""
    return max(1_000, min(most, total // value_bytes // 1_000 * 1_000))


def _grid(keys: Sequence[int], values: Sequence[int], figure: _Figure) -> Grid:
    return Grid(
        key_bytes=tuple(keys),
        value_bytes=tuple(values),
        figures=tuple(tuple(round(figure(key, value), 2) for value in values) for key in keys),
    )

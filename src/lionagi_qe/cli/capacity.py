"""``aqe capacity``: what so many entries and calls need of a server."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from lionagi_qe.bench.capacity import Load, Machine, estimate, measured
from lionagi_qe.cli.options import json_option, show_json
from lionagi_qe.cli.output import say

if TYPE_CHECKING:
    from lionagi_qe.bench.capacity import Backend, Estimate

_BACKENDS: tuple[Backend, ...] = ("sqlite", "postgresql", "redis")
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([KMGT]?)", re.IGNORECASE)
_BYTES = re.compile(_NUMBER.pattern + r"(?:i?B)?", re.IGNORECASE)
_RATE = re.compile(_NUMBER.pattern + r"(?:/s)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Amount:
    """Reads a number with a unit: 1e9, 10M, 2000/s, 64G."""

    form: re.Pattern[str]
    example: str
    binary: bool = False

    def __call__(self, _: click.Context, __: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        match = self.form.fullmatch(text.strip())
        if match is None:
            raise click.BadParameter(f"{text!r} is no such number; write {self.example}")
        unit = _UNITS[match[2].upper()]
        if self.binary and unit > 1:
            unit = 1024 ** round(math.log(unit, 1000))
        return float(match[1]) * unit


_COUNT = _Amount(_NUMBER, "1000000, 1e9 or 10M")
_EACH = _Amount(_RATE, "2000/s, 2000 or 2K/s")
_SIZE = _Amount(_BYTES, "64G or 500M", binary=True)


@click.command()
@click.option("--entries", required=True, callback=_COUNT, help="How many: 1e9, 10M.")
@click.option(
    "--key-bytes",
    default=48.0,
    show_default=True,
    type=click.FloatRange(1, 512),
    help="Mean length of the keys.",
)
@click.option(
    "--value-bytes",
    default=300.0,
    show_default=True,
    type=click.FloatRange(1),
    help="Mean size of the values as JSON.",
)
@click.option("--updates", default="0/s", callback=_EACH, help="Entries overwritten: 2000/s.")
@click.option("--reads", default="0/s", callback=_EACH, help="Entries read by key: 10K/s.")
@click.option("--deletes", default="0/s", callback=_EACH, help="Entries deleted: 50/s.")
@click.option(
    "--batched",
    is_flag=True,
    help="Calls are on many entries, or made at the same moment, which makes batches.",
)
@click.option(
    "--expiring",
    default=0.0,
    type=click.FloatRange(0, 1),
    help="Share of the entries that have a TTL.",
)
@click.option(
    "--connections",
    default=0,
    type=click.IntRange(0),
    help="Open connections of all processes together.",
)
@click.option("--memory", "memory_bytes", callback=_SIZE, help="The server's memory: 64G.")
@click.option("--disk", "disk_bytes", callback=_SIZE, help="Its disk: 2T.")
@click.option("--cores", type=click.FloatRange(0, min_open=True), help="Its cores.")
@click.option("--max-connections", type=click.IntRange(1), help="How many it accepts.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice(_BACKENDS),
    help="Only this one; may be given again.",
)
@json_option
def capacity(  # noqa: PLR0913 - options
    *,
    memory_bytes: float | None,
    disk_bytes: float | None,
    cores: float | None,
    max_connections: int | None,
    backends: tuple[Backend, ...],
    as_json: bool,
    **load: float,
) -> None:
    """Compute what a load needs: bytes, memory, log a day, processor time, what gets tight first.

    From figures that were measured when this release was made; nothing is connected to. What of
    the machine isn't told is not judged.
    """
    wanted = Load.model_validate(load)
    machine = Machine(
        memory_bytes=memory_bytes,
        disk_bytes=disk_bytes,
        cores=cores,
        max_connections=max_connections,
    )
    known = measured()
    found = [
        estimate(each, known.backends[each], wanted, machine) for each in backends or _BACKENDS
    ]
    versions = {each.backend: known.backends[each.backend].version for each in found}
    origin = f"measured on {known.date}, {known.machine}"
    if as_json:
        show_json(
            {
                "load": wanted.model_dump(),
                "machine": machine.model_dump(),
                "measured": origin,
                "versions": versions,
                "estimates": [each.model_dump() for each in found],
            }
        )
        return
    for each in found:
        _show(each, versions[each.backend])
    say(f"Computed from figures {origin}: docs/capacity.md")


def _show(found: Estimate, version: str) -> None:
    say(f"{found.backend} {version}")
    parts = ", ".join(f"{part} {_size(size)}" for part, size in found.parts.items() if size)
    _line("stored", f"{_size(found.stored_bytes)} ({parts})")
    if found.changes_bytes or found.tombstone_bytes:
        kept = f"{_size(found.changes_bytes)}, deleted entries {_size(found.tombstone_bytes)}"
        _line("of the last 5 min", f"changes {kept}")
    what = "everything" if found.backend == "redis" else "indexes"
    _line(
        "memory",
        f"{_size(found.memory_bytes)}: {what}, connections {_size(found.connection_bytes)}",
    )
    if found.log_bytes_a_day:
        _line(
            "log a day",
            f"{_size(found.log_bytes_a_day)}, of which whole pages "
            f"{_size(found.whole_pages_a_day)}",
        )
    if found.server_cores or found.client_cores:
        _line("cores", f"server {found.server_cores:.2f}, clients {found.client_cores:.2f}")
    for limit in found.limits:
        _line(f"{100 * limit.share:.3g} %", f"of {limit.name}")
    if any(limit.share > 1 for limit in found.limits):
        _line("", "what is above 100 % does not fit")


def _line(name: str, text: str) -> None:
    say(f"  {name:18} {text}")


def _size(number: float) -> str:
    for unit in ("T", "G", "M", "K"):
        size = 1024 ** "BKMGT".index(unit)
        if number >= size:
            return f"{number / size:.1f} {unit}iB"
    return f"{number:.0f} B"

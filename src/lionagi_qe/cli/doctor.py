"""``aqe doctor``: is the memory fit for use, what does it promise, and what should be mended?"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.diagnosis import general
from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import MemoryChoice, fleet_option, json_option, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.errors import AccessDeniedError, AqeError
from lionagi_qe.persistence.inspection import clock_skew, inspect, probe, sealing_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lionagi_qe.cli.diagnosis.finding import Finding
    from lionagi_qe.persistence import Memory

_TRIALS = 5
_MARKS = {"unfit": "x", "problem": "!", "advice": "-"}


@click.command()
@click.argument("url", required=False)
@fleet_option
@click.option("--no-migrate", is_flag=True, help="Only look: don't bring the schema up.")
@click.option("--strict", is_flag=True, help="Exit code 1 if a problem was found.")
@json_option
@quiet_option
def doctor(url: str | None, fleet: str, *, no_migrate: bool, strict: bool, as_json: bool) -> int:
    """Check the memory at URL: reach it, check its schema, write and read, tell its durability.

    And what of the server wants mending: clock, version, bloat, eviction, disk, replication,
    connections, poolers, encryption; each with what it means and what to do. A standby is only
    read. Without URL it is the one that commands use by default, which must be there. Exit code 3
    if it is unfit.
    """
    choice = MemoryChoice.of(url, fleet)
    # Nobody wants a new one in whatever directory this is called from.
    migrate = not (choice.is_missing or no_migrate)
    with telling("checking the memory"):
        facts, findings = run_until_told(_examine(choice, migrate=migrate))
    if as_json:
        # The sentences alone are what there was before findings had parts.
        told = [str(finding) for finding in findings]
        show_json({**facts, "findings": [*map(asdict, findings)], "advice": told})
    else:
        _write(choice, facts, findings)
    levels = {finding.level for finding in findings}
    if "unfit" in levels:
        return Exit.INFRASTRUCTURE
    return Exit.GATE_FAILED if strict and "problem" in levels else Exit.PASSED


async def _examine(choice: MemoryChoice, *, migrate: bool) -> tuple[dict[str, Any], list[Finding]]:
    memory = choice.open(migrate=migrate)
    try:
        findings = [*_compatibility(await probe(memory))]
        if any(finding.level == "unfit" for finding in findings):
            # Whatever opening it would say, this is why.
            return {}, findings
        await memory.open()
        return await _examine_open(memory, findings)
    finally:
        await memory.close()


async def _examine_open(
    memory: Memory, findings: list[Finding]
) -> tuple[dict[str, Any], list[Finding]]:
    facts = await memory.describe()
    sealed, clear = await sealing_keys(memory)
    findings += general.encryption(sealed, clear, facts.get("keys", ()))
    locked = any(finding.level == "unfit" for finding in findings)
    # Nothing of ours is put among what is sealed, in clear.
    trial = {} if locked else await (_read if _is_standby(facts) else _try_or_read)(memory)
    skew, error = await clock_skew(memory)
    findings += general.clock(skew, error)
    findings += _of_server(memory.capabilities.name, await inspect(memory))
    return {**facts, **trial, "clock_skew_ms": round(skew, 1), "clock_error_ms": round(error, 1)}, (
        findings
    )


def _compatibility(probed: Mapping[str, Any]) -> Iterator[Finding]:
    if probed:
        from lionagi_qe.cli.diagnosis import postgres

        yield from postgres.compatibility(probed)


def _of_server(name: str, figures: Mapping[str, Any]) -> Iterator[Finding]:
    if not figures:
        return
    match name.removeprefix("hybrid-"):
        case "postgresql":
            from lionagi_qe.cli.diagnosis import postgres

            yield from postgres.findings(figures, datetime.now(UTC).date())
        case "redis":
            from lionagi_qe.cli.diagnosis import redis

            yield from redis.findings(figures)
        case _:
            from lionagi_qe.cli.diagnosis import sqlite

            yield from sqlite.findings(figures)


def _is_standby(facts: dict[str, Any]) -> bool:
    return facts.get("role") == "standby"


async def _read(memory: Memory) -> dict[str, Any]:
    """Read only; time it in milliseconds."""
    started = time.perf_counter()
    for _ in range(_TRIALS):
        await memory.retrieve("aqe/doctor/read")
    return {"retrieve_ms": round((time.perf_counter() - started) / _TRIALS * 1000, 2)}


async def _try_or_read(memory: Memory) -> dict[str, Any]:
    """Write, or only read where the server or a grant lets us do no more there."""
    try:
        return await _try(memory)
    except AccessDeniedError:
        return {"store": "not tried: this user may not write aqe/doctor/*", **await _read(memory)}


async def _try(memory: Memory) -> dict[str, Any]:
    """Write, read, compare-and-set and remove an entry of our own; time it in milliseconds."""
    key = f"aqe/doctor/{uuid.uuid4().hex}"
    started = time.perf_counter()
    revision = 0
    for at in range(_TRIALS):
        revision = await memory.store(key, at, ttl=60, if_revision=revision)
    stored = time.perf_counter()
    found = [await memory.retrieve(key) for _ in range(_TRIALS)]
    read = time.perf_counter()
    await memory.delete(key, if_revision=revision)
    if found != [_TRIALS - 1] * _TRIALS:
        raise AqeError(f"{key}: stored {_TRIALS - 1}, read {found}; the server can't be trusted")
    return {
        "store_ms": round((stored - started) / _TRIALS * 1000, 2),
        "retrieve_ms": round((read - stored) / _TRIALS * 1000, 2),
    }


def _write(choice: MemoryChoice, facts: dict[str, Any], findings: list[Finding]) -> None:
    say(f"{choice.shown}, fleet {choice.fleet}")
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        say(f"  {name:<{width}}  {value}")
    for level, mark in _MARKS.items():
        for finding in findings:
            if finding.level == level:
                say(f"{mark} {finding}")
    levels = {finding.level for finding in findings}
    if "unfit" in levels:
        say("unfit for use")
    elif _is_standby(facts):
        say("fit for reading and watching: a standby")
    else:
        say("fit for use")

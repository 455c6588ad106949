"""``aqe doctor``: is the memory fit for use, and what does it promise?"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import MemoryChoice, json_option, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.errors import AqeError
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

_EVICTS_NOTHING = "noeviction"
_TRIALS = 5


@click.command()
@click.argument("url", required=False)
@click.option("--fleet", default=DEFAULT_FLEET, show_default=True, help="Which fleet's memory.")
@click.option("--no-migrate", is_flag=True, help="Only look: don't bring the schema up.")
@json_option
def doctor(url: str | None, fleet: str, *, no_migrate: bool, as_json: bool) -> int:
    """Check the memory at URL: reach it, check its schema, write and read, tell its durability.

    A standby is only read. Without URL it is the one that commands use by default, which must be
    there. Exit code 3 if it is unfit.
    """
    choice = MemoryChoice.of(url, fleet)
    # Nobody wants a new one in whatever directory this is called from.
    migrate = not (choice.is_missing or no_migrate)
    findings = asyncio.run(_examine(choice, migrate=migrate))
    if as_json:
        show_json(findings)
    else:
        _write(choice, findings)
    return Exit.PASSED


async def _examine(choice: MemoryChoice, *, migrate: bool) -> dict[str, Any]:
    async with choice.open(migrate=migrate) as memory:
        facts = await memory.describe()
        trial = await (_read if _is_standby(facts) else _try)(memory)
    return {**facts, **trial, "advice": _advice(facts)}


def _is_standby(facts: dict[str, Any]) -> bool:
    return facts.get("role") == "standby"


async def _read(memory: Memory) -> dict[str, Any]:
    """Read only; time it in milliseconds."""
    started = time.perf_counter()
    for _ in range(_TRIALS):
        await memory.retrieve("aqe/doctor/read")
    return {"retrieve_ms": round((time.perf_counter() - started) / _TRIALS * 1000, 2)}


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


def _advice(facts: dict[str, Any]) -> list[str]:
    """Return what a person may want to change, each a sentence."""
    advice: list[str] = []
    policy = facts.get("maxmemory_policy", _EVICTS_NOTHING)
    if policy != _EVICTS_NOTHING:
        advice.append(
            f"Redis may evict entries (maxmemory-policy {policy}); set it to {_EVICTS_NOTHING}."
        )
    if facts.get("aof_enabled") is False:
        advice.append("A crash of Redis takes all since its last snapshot; set appendonly yes.")
    if facts.get("fsync") == "off" or facts.get("synchronous_commit") == "off":
        advice.append(
            "A crash of PostgreSQL may take the last writes; set fsync and "
            "synchronous_commit to on."
        )
    if facts.get("transaction_pooler"):
        advice.append("A pooler answers: statements are not prepared across calls, which costs.")
    return advice


def _write(choice: MemoryChoice, findings: dict[str, Any]) -> None:
    say(f"{choice.shown}, fleet {choice.fleet}")
    advice = findings.pop("advice")
    width = max(map(len, findings))
    for name, value in findings.items():
        say(f"  {name:<{width}}  {value}")
    for sentence in advice:
        say(f"! {sentence}")
    say("fit for reading and watching: a standby" if _is_standby(findings) else "fit for use")

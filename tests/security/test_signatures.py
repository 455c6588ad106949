"""Tasks of workers are signed: changed ones, those of other keys and fleets are refused."""

from __future__ import annotations

import copy
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from tests import programs
from tests.backends import on, url_of

from lionagi_qe import open_memory
from lionagi_qe.errors import ConfigurationError, JobFailedError, UntrustedTaskError
from lionagi_qe.fleet import channels
from lionagi_qe.fleet.signatures import VARIABLE, SigningKeys
from lionagi_qe.fleet.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

OLD, NEW, OTHER = ("o" * 32, "n" * 32, "x" * 32)
PAYLOAD: Mapping[str, Any] = {
    "run": "20261129T000000.000000Z-0a1b2c",
    "project": "shop",
    "agent": "test-executor",
    "tree": "0" * 64,
    "files": "2" * 64,
    "folder": "shop",
    "commit": None,
    "content": "1" * 64,
    "until_ms": 1_796_000_000_000.5,
    "began_ms": 1_795_000_000_000.25,
    "share": [0, 1],
}


def keys(*words: str) -> SigningKeys:
    found = SigningKeys.from_env({VARIABLE: ", ".join(words)})
    assert found is not None
    return found


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


def test_what_is_signed_is_trusted_by_whoever_has_the_key() -> None:
    signed = keys(NEW, OLD).signed(PAYLOAD, "team")
    assert keys(OTHER, NEW).check(signed, "team") == PAYLOAD


@pytest.mark.parametrize("part", [*PAYLOAD, "signature"])
def test_a_change_of_any_part_is_refused(part: str) -> None:
    signed = copy.deepcopy(keys(NEW).signed(PAYLOAD, "team"))
    value = signed[part]
    signed[part] = [1, 1] if part == "share" else 5 if value is None else f"{value}0"
    with pytest.raises(UntrustedTaskError, match="trusts, or was changed"):
        keys(NEW).check(signed, "team")


@pytest.mark.parametrize("signature", [None, 5, "", "é" * 64, ["0" * 64]])
def test_what_is_no_signature_is_refused(signature: object) -> None:
    with pytest.raises(UntrustedTaskError):
        keys(NEW).check({**PAYLOAD, "signature": signature}, "team")


def test_what_is_added_left_out_or_of_another_fleet_is_refused() -> None:
    signed = keys(NEW).signed(PAYLOAD, "team")
    without = {name: value for name, value in signed.items() if name != "commit"}
    for payload, fleet in (({**signed, "more": 1}, "team"), (without, "team"), (signed, "other")):
        with pytest.raises(UntrustedTaskError):
            keys(NEW).check(payload, fleet)


def test_keys_are_in_no_text() -> None:
    assert NEW not in repr(keys(NEW))
    with pytest.raises(ConfigurationError, match="fewer than 32 characters") as caught:
        SigningKeys.from_env({VARIABLE: f"{NEW},short-secret"})
    assert "short-secret" not in str(caught.value)
    assert SigningKeys.from_env({VARIABLE: " , "}) is None


async def test_a_worker_refuses_what_was_not_signed_before_it_fetches_anything(url: str) -> None:
    told: list[str] = []
    async with open_memory(url, fleet=f"signed-{uuid.uuid4().hex[:12]}") as memory:
        queue = channels.queue_of(memory)
        forged = await queue.put(dict(PAYLOAD))
        stolen = await queue.put(keys(OTHER).signed(PAYLOAD, memory.fleet))
        worker = Worker(memory, "w", lambda step: told.append(step.text), keys=keys(NEW))
        import asyncio

        working = asyncio.create_task(worker.work())
        for job in (forged, stolen):
            with pytest.raises(JobFailedError, match=r"the task is signed by no key|is not signed"):
                await queue.result(job, timeout=30)
        worker.stop()
        await working
        # At once, and not after all attempts.
        assert [dead.attempts for dead in await queue.dead()] == [1, 1]
    assert sum("refused: the task" in text for text in told) == len((forged, stolen))


def test_a_worker_of_a_server_wants_keys_or_to_be_told(url: str) -> None:
    if url.startswith("sqlite"):
        url = f"redis://nowhere.invalid/{uuid.uuid4().hex[:4]}"
    done = programs.call(*programs.AQE, "worker", url)
    assert done.code == 2
    assert VARIABLE in done.complaints
    assert "openssl rand -hex 32" in done.complaints
    assert "--allow-unsigned" in done.complaints

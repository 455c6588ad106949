"""Where a run's work is done: what may be named, what is imported for it, what comes back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from lionagi_qe import errors
from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.project.executor_choice import executor, is_address, scheduler_address
from lionagi_qe.fleet import serialization
from lionagi_qe.fleet.executors.dask import _carried
from lionagi_qe.fleet.executors.dask_connection import connected

RUN = """
import sys
from lionagi_qe.fleet import executors, run, worker
print({"dask", "distributed"} & {*sys.modules})
"""


@pytest.mark.parametrize("scheme", ["dask", "tcp", "tls"])
def test_a_scheduler_is_named_as_dask_writes_it(scheme: str) -> None:
    for host in ("scheduler.default.svc", "10.0.0.7", "[::1]"):
        address = executor(f"{scheme}://{host}:8786")
        assert is_address(address)
        assert scheduler_address(address).endswith(f"://{host}:8786")
    assert scheduler_address("dask://host:1") == "tcp://host:1"
    assert not any(map(is_address, map(executor, ("auto", "local", "queue"))))


def test_dask_is_not_imported_unless_it_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, check=True)
    assert done.stdout == b"set()\n"


async def test_what_to_install_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(errors.ConfigurationError, match=r"pip install 'aqe-fleet\[dask\]'"):
        await connected("dask://scheduler:8786")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"packed": serialization.packed([1]), "seconds": 1},
        {"packed": "nothing that was packed", "seconds": 1},
        {"packed": serialization.packed(Findings("a", ())), "seconds": "soon"},
    ],
)
def test_an_answer_that_is_no_result_is_refused(answer: Any) -> None:
    with pytest.raises(errors.InvalidValueError):
        _carried(answer)


def test_an_answer_that_is_a_result_is_taken() -> None:
    findings = Findings("a", ())
    carried = _carried({"packed": serialization.packed(findings), "seconds": 1})
    assert (carried.findings, carried.seconds) == (findings, 1.0)

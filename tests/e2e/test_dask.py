"""A run on Dask finds what it finds here, whoever is lost, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.dask_cluster import Cluster, Program
from tests.e2e.conftest import checksum, start_aqe, variables_of, write
from tests.e2e.processes import starting
from tests.e2e.shop_project import FILES, WAITING
from tests.e2e.test_workers import untimed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.e2e.conftest import Answer
    from tests.e2e.processes import Process

    Aqe = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]
    Start = Callable[..., Process]

# One scheduler for all of them, in one of pytest's processes.
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("dask")]

WORKERS = 4
AGENTS = "test-executor,coverage-analyzer,mutation-tester,quality-gate"
RECEIVED = "function 'receive'"
LONGEST_WAIT = 60
OWN_KEYS = "of another team: at least thirty-two characters"


@pytest.fixture(scope="module")
def clusters(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Cluster]]:
    found: list[Cluster] = []
    yield found
    for each in found:
        each.close()


@pytest.fixture
def cluster(
    clusters: list[Cluster], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Cluster:
    """A scheduler with four workers, whatever the tests before did to it."""
    if not clusters or clusters[-1].scheduler.process.poll() is not None:
        folder = tmp_path_factory.mktemp("dask")
        clusters.append(Cluster(folder, variables_of(cache, folder)))
    found = clusters[-1]
    while len(found.alive) < WORKERS:
        # With more than one thread, as people have them: our tasks still come one after the other.
        found.add_worker(threads=2)
    found.wait()
    return found


@pytest.fixture
def start(variables: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    with starting(variables, tmp_path) as call:
        yield call


@pytest.fixture(scope="module")
def alone(cache: Path, made_once: Callable[..., Path]) -> Mapping[str, Any]:
    """What a run finds that does all of it here."""

    def fill(folder: Path) -> None:
        root = write(folder / "shop", FILES)
        words = ("run", root, "--agents", AGENTS, "--executor", "local", "--json")
        (folder / "found.json").write_text(
            start_aqe(words, folder, variables_of(cache, folder)).out
        )

    return json.loads((made_once("alone-without-executor", fill) / "found.json").read_text())


def told(document: Mapping[str, Any]) -> Any:
    """All that a run tells but times and places, which no two runs share."""
    own = {key: value for key, value in document.items() if key not in {"environment", "path"}}
    return untimed(own)


def below(each: Program) -> list[psutil.Process]:
    return psutil.Process(each.process.pid).children(recursive=True)


def until(run: Process, condition: Callable[[], Any]) -> Any:
    """Wait until something holds, while a run goes on; return it."""
    end = time.monotonic() + LONGEST_WAIT
    while not (found := condition()):
        assert time.monotonic() < end, run.said
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(0.05)
            pytest.fail(f"it ended too early: {run.said}")
    return found


def test_dask_finds_what_one_process_finds_though_a_worker_is_killed(
    alone: Mapping[str, Any], cluster: Cluster, start: Start, project: Write
) -> None:
    root = project(FILES)
    before = checksum(root)
    known = [each.said.count(RECEIVED) for each in cluster.workers]
    run = start("run", root, "--agents", AGENTS, "--executor", cluster.address, "--json")
    victim = until(
        run, lambda: next((each for each in cluster.alive if "trying mutants" in each.said), None)
    )
    left = below(victim)

    victim.kill()

    assert run.ends() == 0, run.said
    assert f"the worker {victim.address} was lost: again elsewhere" in run.said
    assert told(json.loads(run.out)) == told(alone)
    assert checksum(root) == before
    assert not psutil.wait_procs(left, timeout=LONGEST_WAIT)[1], "a killed worker left processes"
    assert not [*cluster.temporary.glob("aqe-task-*")], "what it left there nobody would delete"
    # The worker that had a task of each of three agents got the project once, and what each of
    # these agents is told.
    received = [each.said.count(RECEIVED) for each in cluster.workers]
    assert max(now - then for now, then in zip(received, known, strict=True)) <= 4


@pytest.fixture
def waiting(project: Write, tmp_path: Path, cluster: Cluster) -> Callable[[], bool]:
    """Write a project whose test waits for the file "go"; return what says whether it does."""
    project(
        {
            "test_waiting.py": WAITING.format(folder=str(tmp_path)),
            "pyproject.toml": f'[tool.aqe]\nexecutor = "{cluster.address}"\n',
        }
    )
    return (tmp_path / "begun").exists


def test_an_interrupt_ends_the_tasks_and_all_their_processes_and_the_run_can_be_resumed(
    cluster: Cluster, start: Start, tmp_path: Path, waiting: Callable[[], bool]
) -> None:
    run = start("run", tmp_path / "shop", "--agents", "test-executor")
    until(run, waiting)
    begun = [process for each in cluster.alive for process in below(each)]
    assert begun

    run.process.send_signal(signal.SIGINT)

    assert run.ends() == 130, run.said
    assert run.said.splitlines()[-1] == "aqe: interrupted"
    assert not psutil.wait_procs(begun, timeout=LONGEST_WAIT)[1]
    assert len(cluster.alive) == WORKERS
    assert not any(below(each) for each in cluster.alive)

    (tmp_path / "begun").unlink()
    resumed = start("run", tmp_path / "shop", "--resume", "--json")
    until(resumed, waiting)
    assert any(below(each) for each in cluster.alive)
    (tmp_path / "go").touch()

    assert resumed.ends() == 0, resumed.said
    found = json.loads(resumed.out)
    assert found["notes"] == []
    figures = {each["name"]: each["value"] for each in found["metrics"]}
    assert figures["tests_passed"] == 1


def test_what_dask_workers_refuse_three_times_is_not_measured(
    cluster: Cluster, start: Start, aqe: Aqe, project: Write
) -> None:
    words = ("run", project(FILES), "--agents", "static-analyzer", "--executor", cluster.address)
    answer = aqe(*words, "--json", env={"LIONAGI_QE_SIGNING_KEYS": OWN_KEYS})

    reason = answer.reason("functions")
    assert "workers gave up" in reason
    assert "is signed by no key that this worker trusts" in reason
    assert reason.endswith("(3 attempts)")


def test_a_worker_of_another_version_is_refused_by_name(
    cluster: Cluster, aqe: Aqe, project: Write, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "aqe_fleet-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: aqe-fleet\nVersion: 9.9\n")
    misfit = cluster.add_worker(PYTHONPATH=str(other.parent))
    cluster.wait()

    answer = aqe("run", project(FILES), "--executor", cluster.address)
    misfit.kill()

    assert answer.exit_code == 2, answer.err
    assert "1 of 5 workers can't do aqe's work" in answer.err
    assert f"{misfit.address}: has aqe 9.9, and this is 0.1.0" in answer.err


def test_without_its_scheduler_a_run_goes_on_here_and_says_so(
    cluster: Cluster, start: Start, tmp_path: Path, waiting: Callable[[], bool]
) -> None:
    agents = "test-executor,quality-gate"
    run = start("run", tmp_path / "shop", "--agents", agents, "--json")
    until(run, waiting)
    left = [process for each in cluster.alive for process in below(each)]

    cluster.scheduler.kill()
    (tmp_path / "go").touch()

    assert run.ends() == 0, run.said
    assert f"the Dask scheduler at {cluster.address} is gone: going on here" in run.said
    (note,) = [note for note in json.loads(run.out)["notes"] if "scheduler was lost" in note]
    assert note.endswith("so the rest was done here")
    assert not psutil.wait_procs(left, timeout=LONGEST_WAIT)[1]


@pytest.mark.parametrize(
    ("address", "code", "complaint"),
    [
        ("dask://nowhere.invalid:8786", 3, "no Dask scheduler answers"),
        ("tls://127.0.0.1:1", 2, "no certificate is set; name the CA, certificate and key as Dask"),
    ],
)
def test_an_address_where_nobody_answers_is_told_in_one_line(
    aqe: Aqe, project: Write, address: str, code: int, complaint: str
) -> None:
    answer = aqe("run", project(FILES), "--executor", address, "-q")

    assert answer.exit_code == code, answer.err
    (line,) = answer.err.splitlines()
    assert line.startswith(f"aqe: executor {address}: {complaint}")

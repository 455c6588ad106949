"""What an isolated project's code tries and what comes of it; without isolation all of it works."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.e2e.processes import starting
from tests.isolation_ways import way

__all__ = ["way"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]
    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ATTEMPTS = """
    import contextlib, os, socket, subprocess, sys, time
    from pathlib import Path
    import shop

    def test_it_works_at_all(tmp_path):
        (tmp_path / "note").write_text("x")
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()
        assert shop.price() == 1
        assert subprocess.run([sys.executable, "-c", "import shop"]).returncode == 0

    def test_reads_a_key():
        assert Path({key!r}).read_text().startswith("# ")

    def test_changes_a_file():
        Path({victim!r}).write_text("changed")

    def test_sees_a_process():
        seen = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            # Others end meanwhile.
            with contextlib.suppress(OSError):
                seen.append(Path(f"/proc/{{pid}}/cmdline").read_bytes())
        assert any({neighbour!r}.encode() in each for each in seen)

    def test_calls_out():
        socket.create_connection(("127.0.0.1", {port}), 5).close()

    def test_has_a_variable():
        assert os.environ["SHOP_TOKEN"] == "secret"

    def test_leaves_traps():
        # Where we write next, and what we read next.
        root = Path(shop.__file__).resolve().parents[1]
        while not (root / "artifacts").exists():
            root = root.parent
        for name in ("coverage.log", "coverage.json", "map.jsonl", "generated.json"):
            path = root / "artifacts" / name
            path.unlink(missing_ok=True)
            path.symlink_to({victim!r})
        Path(shop.__file__).unlink()
        Path(shop.__file__).symlink_to({key!r})

    def test_outlives_the_run():
        if os.fork():
            return
        os.setsid()
        stay = "import time; time.sleep(600)  # {stay}"
        os.execve(sys.executable, [sys.executable, "-c", stay], {{}})
"""
REFUSED = {
    "test_reads_a_key",
    "test_changes_a_file",
    "test_sees_a_process",
    "test_calls_out",
    "test_has_a_variable",
}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "elsewhere" / "key"
    file.parent.mkdir()
    file.write_text(f"# {uuid.uuid4().hex}")
    return file


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def stay() -> Iterator[str]:
    """What is in the command line of the process that outlives its test."""
    mark = f"stays-{uuid.uuid4().hex}"
    yield mark
    for process in processes_with(mark):
        process.kill()


@pytest.fixture
def neighbour() -> Iterator[str]:
    """What is in the command line of somebody else's process."""
    mark = f"neighbour-{uuid.uuid4().hex}"
    with subprocess.Popen(
        [sys.executable, "-c", f"input()  # {mark}"], stdin=subprocess.PIPE
    ) as own:
        yield mark
        own.communicate(b"\n")


def processes_with(mark: str) -> list[psutil.Process]:
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if mark in " ".join(each.info["cmdline"] or [])
    ]


def hostile(project: Write, key: Path, port: int, stay: str, neighbour: str) -> tuple[Path, Path]:
    victim = key.with_name("victim")
    victim.write_text("as it was")
    attempts = ATTEMPTS.format(
        key=str(key), victim=str(victim), neighbour=neighbour, port=port, stay=stay
    )
    files = {
        "src/shop/__init__.py": "def price():\n    return 1\n",
        "tests/test_shop.py": attempts,
        # What it names here is not opened by that.
        "tox.ini": f"[testenv]\nset_env =\n    SSL_CERT_DIR = {key.parent}\ncommands = pytest\n",
        "pyproject.toml": """
            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"

            [project]
            name = "shop"
            version = "1"

            [tool.aqe]
            pass-env = ["SHOP_TOKEN"]
        """,
    }
    return project(files), victim


def test_isolated_tests_reach_nothing_that_is_not_theirs(
    examine: Examine, project: Write, *, key: Path, port: int, stay: str, neighbour: str
) -> None:
    root, victim = hostile(project, key, port, stay, neighbour)
    arguments = ("--agents", "test-executor,coverage-analyzer,mutation-tester,static-analyzer")
    token = {"SHOP_TOKEN": "secret"}

    answer = examine(root, "--isolate", *arguments, env=token)

    outcomes = answer.outcomes()
    assert {name for name, outcome in outcomes.items() if outcome != "passed"} == REFUSED
    assert answer.document["environment"]["origin"].endswith("isolated, without network")
    assert "lets nothing through: SHOP_TOKEN" in str(answer.document["notes"])
    assert victim.read_text() == "as it was"
    assert key.read_text() not in answer.out + answer.err
    assert not processes_with(stay)

    # The attempts are in earnest: they come off where nothing hinders them.
    only = ("--agents", "test-executor")
    assert set(examine(root, "--no-isolate", *only, env=token).outcomes().values()) == {"passed"}
    assert victim.read_text() != "as it was"


def test_the_network_is_open_to_whom_it_is_allowed(
    examine: Examine, project: Write, port: int
) -> None:
    calls = f"import socket\ndef test_out(): socket.create_connection(('127.0.0.1', {port}), 5)\n"
    settings = "[tool.aqe]\nisolate = true\n"
    root = project({"test_shop.py": calls, "pyproject.toml": settings})

    assert examine(root).outcomes() == {"test_out": "failed"}
    assert examine(root, "--allow-network").outcomes() == {"test_out": "passed"}


def test_a_build_of_an_isolated_project_reaches_nothing_either(
    aqe: Aqe, project: Write, key: Path
) -> None:
    victim = key.with_name("victim")
    victim.write_text("as it was")
    setup = f"""
        import os, sys
        from pathlib import Path
        from setuptools import setup

        for attempt in (
            lambda: Path({str(victim)!r}).write_text("changed"),
            lambda: Path("src/shop/stolen.py").write_text(Path({str(key)!r}).read_text()),
        ):
            try:
                attempt()
            except OSError:
                continue
        Path("src/shop/linked.py").symlink_to({str(key)!r})
        setup(name="shop", version="1", package_dir={{"": "src"}}, packages=["shop"])
    """
    tests = """
        def test_price():
            import shop
            assert shop.price() == 1

        def test_stolen():
            import shop.stolen

        def test_linked():
            from pathlib import Path
            import shop
            assert Path(shop.__file__).with_name("linked.py").read_text().startswith("# ")
    """
    root = project(
        {
            "setup.py": setup,
            "src/shop/__init__.py": "def price():\n    return 1\n",
            "tests/test_shop.py": tests,
        }
    )

    answer = aqe("run", root, "--isolate", "--json", "--agents", "test-executor")

    assert answer.outcomes() == {
        "test_price": "passed",
        "test_stolen": "failed",
        "test_linked": "failed",
    }
    assert victim.read_text() == "as it was"


def test_programs_that_a_repository_names_are_isolated_as_well(
    aqe: Aqe, project: Write, key: Path
) -> None:
    victim = key.with_name("victim")
    root = project({"shop.py": "A = 1\n", "test_shop.py": "def test_a(): pass\n"})
    git = ("git", "-C", str(root), "-c", "user.email=a@b.c", "-c", "user.name=a")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run([*git, *words], check=True)
    (root / ".gitattributes").write_text("*.py filter=own\n")
    own = f"sh -c 'touch {victim}; cat'"
    subprocess.run([*git, "config", "filter.own.clean", own], check=True)

    def look(*options: str) -> None:
        # What has another time is filtered anew.
        (root / "shop.py").touch()
        answer = aqe("run", root, *options, "--json", "--base", "HEAD", "--agents", "test-executor")
        assert answer.outcomes() == {"test_a": "passed"}
        assert answer.document["commit"].endswith("-dirty")

    look("--isolate")
    assert not victim.exists()
    look()
    assert victim.exists()


def test_a_worker_isolates_what_runs_do_not_ask_it_to(
    aqe: Aqe, project: Write, key: Path, variables: dict[str, str], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    reads = f"""
        from pathlib import Path
        def test_reads_a_key():
            assert Path({str(key)!r}).read_text().startswith("# ")
    """
    root = project({"test_shop.py": reads})
    only = ("--json", "--memory", url, "--agents", "test-executor")
    with starting(variables, tmp_path) as start:
        worker = start("worker", url, "--isolate")
        worker.until("waiting for tasks")
        assert aqe("run", root, *only).outcomes() == {"test_reads_a_key": "failed"}
        worker.until("ended after")
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(timeout=30)
    assert aqe("run", root, *only).outcomes() == {"test_reads_a_key": "passed"}

"""Projects that crash, hang or can't be imported: the run goes on and says what it could not do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import AQE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e


def test_a_test_that_ends_the_process_is_named(examine: Examine, project: Write) -> None:
    tests = """
        import os

        def test_before():
            pass

        def test_crash():
            os._exit(3)

        def test_after():
            pass
    """
    answer = examine(project({"test_crash.py": tests}))

    assert answer.outcomes() == {
        "test_before": "passed",
        "test_crash": "interrupted",
        "test_after": "passed",
    }
    assert answer.value("tests_interrupted") == 1
    assert answer.exit_code == 1


def test_an_endless_test_is_stopped_with_all_its_children(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    tests = f"""
        import subprocess

        # Quick to start, so that both have before the time is up.
        CHILD = ["/bin/sh", "-c", "echo $$; exec sleep 600"]

        def test_endless():
            with open({str(pids)!r}, "w") as file:
                for new_session in (False, True):
                    subprocess.Popen(CHILD, stdout=file, start_new_session=new_session)
            while True:
                pass
    """
    answer = examine(project({"test_endless.py": tests}), "--timeout", 4)

    assert answer.outcomes() == {"test_endless": "interrupted"}
    assert answer.exit_code == 1
    children = pids.read_text().split()
    assert len(children) == 2
    assert not [child for child in children if _lives(int(child))]


def test_a_test_that_kills_its_parent_ends_the_tests_and_not_the_run(
    examine: Examine, project: Write
) -> None:
    tests = """
        import os, signal, time

        def test_before():
            pass

        def test_kill():
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
    """
    answer = examine(project({"test_kill.py": tests}))

    assert answer.outcomes() == {"test_before": "passed", "test_kill": "interrupted"}
    assert "was killed by SIGKILL" in answer.reason("line_coverage")
    assert answer.exit_code == 1


def test_a_bomb_of_processes_is_cleared_away(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    tests = f"""
        import os, time

        def test_bomb():
            for _ in range(5):
                if os.fork() == 0:
                    os.setsid()
            with open({str(pids)!r}, "a") as file:
                file.write(f"{{os.getpid()}}\\n")
            time.sleep(600)
    """
    answer = examine(project({"test_bomb.py": tests}), "--timeout", 5)

    assert answer.outcomes() == {"test_bomb": "interrupted"}
    left = [int(line) for line in pids.read_text().split()]
    assert len(left) == 32
    assert not [pid for pid in left if _lives(pid)]


def test_a_test_that_prints_without_end_is_stopped(examine: Examine, project: Write) -> None:
    tests = """
        import os

        def test_print(capfd):
            with capfd.disabled():
                while True:
                    os.write(1, b"x" * 1024**2)
    """
    answer = examine(project({"test_print.py": tests}))

    assert answer.outcomes() == {"test_print": "interrupted"}
    assert "printed more than 256 MiB" in answer.reason("line_coverage")


def test_a_test_that_fills_the_memory_fails(examine: Examine, project: Write) -> None:
    tests = """
        def test_fill():
            bytearray(1024**3)

        def test_after():
            pass
    """
    files = {"test_fill.py": tests, "pyproject.toml": "[tool.aqe]\nmax-memory = 512\n"}
    answer = examine(project(files))

    assert answer.outcomes() == {"test_fill": "failed", "test_after": "passed"}
    assert "MemoryError" in answer.document["tests"][0]["message"]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_endless_import_is_not_measured(examine: Examine, project: Write) -> None:
    answer = examine(project({"test_endless.py": "import time\ntime.sleep(600)\n"}), "--timeout", 3)

    assert "ran longer than 3 s" in answer.reason("tests_passed")
    assert answer.exit_code == 4


def test_a_project_without_tests_is_not_measured(examine: Examine, project: Write) -> None:
    answer = examine(project({"shop.py": "PRICE = 1\n"}))

    assert "collected no tests" in answer.reason("tests_passed")
    assert answer.exit_code == 4


@pytest.mark.parametrize("bad", ["def test_bad(:\n", "import sys\nsys.exit(0)\n"])
def test_a_file_that_is_no_python_or_ends_it_fails_and_the_others_run(
    examine: Examine, project: Write, bad: str
) -> None:
    answer = examine(project({"test_good.py": "def test_good(): pass\n", "test_bad.py": bad}))

    assert answer.value("tests_passed") == 1
    assert answer.value("collection_errors") == 1
    assert list(answer.document["uncollectable"]) == ["test_bad.py"]
    assert answer.exit_code == 1


def test_sys_exit_while_collecting_is_no_test_that_passed(examine: Examine, project: Write) -> None:
    answer = examine(project({"test_exit.py": "import sys\nsys.exit(0)\n"}))

    assert answer.value("collection_errors") == 1
    assert "test_exit.py:2" in answer.document["uncollectable"]["test_exit.py"]
    assert answer.exit_code == 1


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"test_a.py": "import frobnicate\ndef test_a(): pass\n"}, id="test file"),
        pytest.param({"test_a.py": "def test_a():\n    import frobnicate\n"}, id="test"),
        pytest.param(
            {"conftest.py": "import frobnicate\n", "test_a.py": "def test_a(): pass\n"},
            id="conftest",
        ),
        pytest.param(
            {"shop.py": "import frobnicate\n", "test_a.py": "import shop\ndef test_a(): pass\n"},
            id="module",
        ),
    ],
)
def test_a_missing_package_is_named_and_the_gate_does_not_pass(
    examine: Examine, project: Write, files: dict[str, str]
) -> None:
    answer = examine(project({**files, "test_b.py": "def test_b(): pass\n"}))

    if "conftest.py" in files:
        assert "frobnicate" in answer.reason("tests_passed"), "nothing could run"
    else:
        assert answer.value("tests_passed") == 1
    assert "frobnicate" in answer.reason("gate")
    assert answer.exit_code == 4


def test_a_missing_module_of_the_project_itself_is_a_failure(
    examine: Examine, project: Write
) -> None:
    files = {
        "shop/__init__.py": "",
        "test_a.py": "import shop.prices\ndef test_a(): pass\n",
        "test_b.py": "def test_b(): pass\n",
    }
    answer = examine(project(files))

    assert answer.value("tests_passed") == 1
    assert answer.exit_code == 1


def test_output_that_is_no_utf8_does_no_harm(examine: Examine, project: Write) -> None:
    tests = """
        import os, sys

        def test_output():
            os.write(1, b"\\xff\\xfe")
            sys.stdout.buffer.write(b"\\xe9")
            assert False, "caf\\xe9 \\udc80"
    """
    answer = examine(project({"test_output.py": tests}))

    assert answer.value("tests_failed") == 1
    assert answer.exit_code == 1


def test_the_projects_own_options_do_not_get_in_the_way(examine: Examine, project: Write) -> None:
    files = {
        "pytest.ini": """
            [pytest]
            addopts = -n 4 --cov=shop --cov-report term-missing -x --frob=1 --strict-markers
        """,
        "shop.py": "PRICE = 1\n",
        "test_a.py": """
            import shop

            def test_a():
                assert shop.PRICE == 2

            def test_b():
                assert shop.PRICE == 1
        """,
    }
    answer = examine(project(files))

    assert (answer.value("tests_passed"), answer.value("tests_failed")) == (1, 1)
    assert answer.value("line_coverage") == 100.0
    note = next(note for note in answer.document["notes"] if "left out" in note)
    for option in ("-n 4", "--cov=shop", "--cov-report term-missing", "-x", "--frob=1"):
        assert option in note
    assert "--strict-markers" not in note


def test_tests_see_no_secrets_and_no_home(examine: Examine, project: Write) -> None:
    tests = """
        import os, pathlib

        def test_environment():
            assert "AWS_SECRET_ACCESS_KEY" not in os.environ
            assert os.environ["SHOP_DATABASE"] == "test"
            assert not list(pathlib.Path.home().iterdir())
    """
    files = {
        "test_a.py": tests,
        "pyproject.toml": '[tool.aqe]\npass-env = ["SHOP_DATABASE"]\n',
    }
    env = {"AWS_SECRET_ACCESS_KEY": "hidden", "SHOP_DATABASE": "test"}
    answer = examine(project(files), env=env)

    assert answer.exit_code == 0, answer.document["tests"]


def test_tests_that_write_into_the_project_write_into_the_copy(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    tests = """
        from pathlib import Path

        def test_write():
            here = Path(__file__).parent
            (here / "new.txt").write_text("new")
            (here / "data.txt").write_text("changed")
            (here / "outside.txt").write_text("changed")
            (here / "inside.txt").write_text("changed")
    """
    root = project({"test_write.py": tests, "data.txt": "as it was"})
    (tmp_path / "elsewhere.txt").write_text("as it was")
    (root / "outside.txt").symlink_to(tmp_path / "elsewhere.txt")
    (root / "inside.txt").symlink_to(root / "data.txt")
    os.mkfifo(root / "pipe")

    assert examine(root).exit_code == 0
    assert (tmp_path / "elsewhere.txt").read_text() == "as it was"


def _hear_interrupts() -> None:
    """Undo what shells do to background jobs: these ignore Ctrl-C, and their children with them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_tests_too(
    project: Write, variables: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    started = tmp_path / "started"
    tests = f"""
        import os, time

        def test_long():
            with open({f"{started}.draft"!r}, "w") as file:
                file.write(str(os.getpid()))
            os.rename({f"{started}.draft"!r}, {str(started)!r})
            time.sleep(600)
    """
    root = project({"test_long.py": tests})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [str(AQE), "run", str(root)],
        env={**variables, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_interrupts,  # noqa: PLW1509 - this process has no threads here
    ) as process:
        try:
            while not started.exists():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
                    pytest.fail(f"it ended early: {process.communicate()}")
            pid = int(started.read_text())
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        except BaseException:
            process.terminate()
            raise

    assert process.returncode == 130
    assert err.splitlines()[-1] == "aqe: interrupted"
    assert not _lives(pid)
    assert list(scratch.glob("aqe-*")) == []


def _ignore_hangups() -> None:
    """Do what nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_under_nohup_a_run_outlives_its_terminal(
    project: Write, variables: dict[str, str], tmp_path: Path
) -> None:
    tests = f"""
        import pathlib, time

        def test_until_told():
            pathlib.Path({str(tmp_path / "started")!r}).touch()
            while not pathlib.Path({str(tmp_path / "told")!r}).exists():
                time.sleep(0.01)
    """
    with subprocess.Popen(
        [str(AQE), "run", str(project({"test_until_told.py": tests}))],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_ignore_hangups,  # noqa: PLW1509 - this process has no threads here
    ) as process:
        while not (tmp_path / "started").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
                pytest.fail(f"it ended early: {process.communicate()}")
        process.send_signal(signal.SIGHUP)
        (tmp_path / "told").touch()
        process.communicate(timeout=60)
    assert process.returncode == 0


STANDS_STILL = """
    import signal, threading, time
    import shop

    def test_before():
        assert shop.price() == 1

    def test_stands():
        {stand}

    def test_after():
        assert shop.name() == "shop"
"""
SHOP = {"shop.py": "def price():\n    return 1\n\n\ndef name():\n    return 'shop'\n"}


WAIT = "threading.Event().wait(600)"
SWALLOW = f"""
        while True:
            try:
                {WAIT}
            except BaseException:
                pass
"""
DEAF = f"signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG)); {WAIT}"


@pytest.mark.parametrize("stand", [WAIT, SWALLOW, DEAF], ids=["waits", "swallows", "is deaf"])
def test_a_test_that_stands_still_costs_itself_and_shows_where(
    stand: str, examine: Examine, project: Write
) -> None:
    files = SHOP | {
        "test_shop.py": STANDS_STILL.format(stand=stand),
        "pyproject.toml": "[tool.aqe]\ntest-timeout = 1.5\n",
    }
    answer = examine(project(files))

    assert answer.outcomes() == {
        "test_before": "passed",
        "test_stands": "interrupted",
        "test_after": "passed",
    }
    (stood,) = (test for test in answer.document["tests"] if test["outcome"] == "interrupted")
    assert "took too long" in stood["message"]
    if stand != DEAF:
        assert "threading.py" in stood["message"]
        assert "test_shop.py" in stood["message"]
    if stand == WAIT:
        assert answer.value("line_coverage") == 100.0
    assert any("coverage is of what ran" in note for note in answer.document["notes"])
    assert answer.exit_code == 1


def test_tests_that_end_the_process_cost_themselves_alone(examine: Examine, project: Write) -> None:
    tests = """
        import os, signal
        import shop

        def test_before(): assert shop.price() == 1
        def test_killed(): os.kill(os.getpid(), signal.SIGKILL)
        def test_between(): assert shop.price() == 1
        def test_segfault(): os.kill(os.getpid(), signal.SIGSEGV)
        def test_after(): assert shop.name() == "shop"
    """
    answer = examine(project(SHOP | {"test_shop.py": tests}))

    assert answer.outcomes() == {
        "test_before": "passed",
        "test_killed": "interrupted",
        "test_between": "passed",
        "test_segfault": "interrupted",
        "test_after": "passed",
    }
    assert answer.value("line_coverage") == 75.0, "what the killed processes measured is lost"
    assert answer.exit_code == 1


def test_a_file_that_lacks_a_module_costs_itself_and_the_gate_says_so(
    examine: Examine, project: Write
) -> None:
    files = SHOP | {
        "test_shop.py": "import shop\ndef test_price(): assert shop.price() == 1\n",
        "test_other.py": "import frobnicate\ndef test_other(): pass\n",
        "test_optional.py": "import pytest\npytest.importorskip('nope')\ndef test_it(): pass\n",
    }
    answer = examine(project(files))

    assert answer.outcomes() == {"test_price": "passed"}
    assert answer.value("tests_passed") == 1
    assert answer.value("tests_skipped") == 1, "as pytest counts a file that skips itself"
    (note,) = (note for note in answer.document["notes"] if "skip themselves" in note)
    assert "test_optional.py (could not import 'nope'" in note
    assert answer.value("collection_errors") == 1
    assert answer.value("line_coverage") == 75.0
    assert "incomplete" in answer.reason("gate")
    assert "frobnicate" in answer.reason("gate")
    assert answer.exit_code == 4


def test_what_tests_replace_for_a_session_does_not_keep_them_from_being_told(
    examine: Examine, project: Write
) -> None:
    conftest = """
        import json, pytest, time

        def refuse(*_, **__):
            raise RuntimeError("replaced")

        @pytest.fixture(autouse=True, scope="session")
        def replaced():
            with pytest.MonkeyPatch.context() as patch:
                for module, name in ((json, "dumps"), (time, "monotonic"), (time, "perf_counter")):
                    patch.setattr(module, name, refuse)
                yield
    """
    tests = """
        import shop
        def test_price(): assert shop.price() == 1
        def test_name(): assert shop.name() == "no"
    """
    answer = examine(project(SHOP | {"conftest.py": conftest, "test_shop.py": tests}))

    assert answer.outcomes() == {"test_price": "passed", "test_name": "failed"}
    assert answer.value("line_coverage") == 100.0


def test_tests_of_what_measures_are_counted_and_not_measured(
    examine: Examine, project: Write
) -> None:
    # As those of coverage.py, whose own sources go before what is installed.
    files = {
        "coverage/__init__.py": "def start():\n    return 1\n",
        "test_coverage.py": "import coverage\ndef test_start(): assert coverage.start() == 1\n",
    }
    answer = examine(project(files))

    assert answer.outcomes() == {"test_start": "passed"}
    assert "coverage.py itself" in answer.reason("line_coverage")


def test_when_the_time_is_up_what_ran_is_kept(examine: Examine, project: Write) -> None:
    tests = """
        import time
        import shop

        def test_before(): assert shop.price() == 1
        def test_slow(): time.sleep(600)
        def test_after(): assert shop.name() == "shop"
    """
    settings = "[tool.aqe]\ntest-timeout = 500\n"
    root = project(SHOP | {"test_shop.py": tests, "pyproject.toml": settings})
    answer = examine(root, "--timeout", 6)

    assert answer.outcomes() == {
        "test_before": "passed",
        "test_slow": "interrupted",
        "test_after": "not_run",
    }
    assert answer.value("line_coverage") == 75.0
    assert any("1 test not begun" in note for note in answer.document["notes"])
    assert answer.value("gate") == "failed"


RADON = {
    "__init__.py": "__version__ = '6'\n",
    "complexity.py": "def cc_visit_ast(text):\n    raise ZeroDivisionError('ours')\n",
    "visitors.py": "class Class: pass\nclass Function: pass\n",
}


def test_a_defect_of_ours_is_infrastructure_and_tells_what_to_report(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    # A library that breaks its word stands for what we did not think of.
    package = tmp_path / "library" / "radon"
    package.mkdir(parents=True)
    for name, text in RADON.items():
        (package / name).write_text(text)
    shop = "def price(kind):\n    if kind:\n        return 1\n    return 2\n"
    tests = "import shop\n\ndef test_price():\n    assert shop.price(1) == 1\n"
    answer = examine(
        project({"shop.py": shop, "test_shop.py": tests}), env={"PYTHONPATH": str(package.parent)}
    )

    assert answer.exit_code == 3
    assert answer.document["exit_code"] == 3
    assert answer.value("tests_passed") == 1
    assert "ZeroDivisionError: ours (a defect of aqe)" in answer.reason("line_coverage")
    assert "ZeroDivisionError" in answer.document["defects"]["coverage-analyzer"]
    assert "please report it" in answer.err
    assert "in cc_visit_ast" in answer.err


def test_a_library_that_cant_be_imported_is_no_failed_gate(
    aqe: Callable[..., Answer], project: Write, tmp_path: Path
) -> None:
    package = tmp_path / "library" / "radon"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('built for another machine')\n")
    answer = aqe(
        "run", project({"test_shop.py": ""}), "--json", env={"PYTHONPATH": str(package.parent)}
    )

    assert (answer.exit_code, answer.out) == (3, "")
    assert "ImportError: built for another machine" in answer.err
    assert "please report it" in answer.err

"""``pytest --aqe`` in projects of its users: what it keeps, and what it does with their tests."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import psutil
import pytest
from tests.users_pytest import as_for_a_user

from lionagi_qe.agents import line_map
from lionagi_qe.fleet.coverage_maps import Maps
from lionagi_qe.fleet.project_memory import memory_around
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.fleet.trends import latest_run, runs_of
from lionagi_qe.learning.ordering import TestOrdering
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lionagi_qe.persistence import Memory

pytest_plugins = "pytester"
pytestmark = pytest.mark.integration

PROJECT = '[project]\nname = "shop"\nversion = "1"\n'


@pytest.fixture(autouse=True)
def project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> Path:
    """A project whose memory is where its user's would be, and no plugins of no use."""
    as_for_a_user(pytester, monkeypatch, pytestconfig)
    pytester.makepyprojecttoml(PROJECT)
    return pytester.path


def in_memory(path: Path, action: Callable[[Memory], Awaitable[Any]]) -> Any:
    async def act() -> Any:
        async with open_memory(memory_around(path).url, cleanup_interval=None) as memory:
            return await action(memory)

    return asyncio.run(act())


def records(path: Path) -> dict[str, list[dict[str, Any]]]:
    entries = in_memory(path, lambda memory: RunHistory(memory, "shop").entries())
    return {test.partition("::")[2]: entry.value["records"] for test, entry in entries.items()}


def outcomes(path: Path) -> dict[str, list[str]]:
    return {test: [each["outcome"] for each in past] for test, past in records(path).items()}


ALL_OUTCOMES = """
import pytest
from tests.users_pytest import as_for_a_user

@pytest.fixture
def broken():
    raise OSError

def test_passes(): pass
def test_fails(): assert False
def test_errs(broken): pass
def test_is_skipped(): pytest.skip()
@pytest.mark.xfail
def test_fails_as_expected(): assert False
@pytest.mark.xfail
def test_passes_unexpectedly(): pass
def test_has_parts(subtests):
    with subtests.test("one"):
        assert False
"""


def test_outcomes_durations_and_order_are_kept_where_aqe_looks_for_them(
    pytester: pytest.Pytester, project: Path
) -> None:
    pytester.makepyfile(ALL_OUTCOMES)
    pytester.runpytest_inprocess("--aqe").assert_outcomes(
        passed=1, failed=3, errors=1, skipped=1, xfailed=1, xpassed=1
    )
    narrowed = pytester.runpytest_inprocess("--aqe", "-k", "fails")
    narrowed.stdout.fnmatch_lines(["how 2 tests ended is kept in sqlite:///*shop-*.db"])
    assert outcomes(project) == {
        "test_passes": ["passed"],
        "test_fails": ["failed", "failed"],
        "test_errs": ["error"],
        "test_is_skipped": ["skipped"],
        "test_fails_as_expected": ["xfailed", "xfailed"],
        "test_passes_unexpectedly": ["xpassed"],
        "test_has_parts": ["failed"],
    }
    found = records(project)
    first = {test: past[0] for test, past in found.items()}
    assert sorted(first, key=lambda test: first[test]["place"])[:3] == [
        "test_passes",
        "test_fails",
        "test_errs",
    ]
    assert all(record["seconds"] > 0 for record in first.values())
    runs = in_memory(project, lambda memory: runs_of(memory, "shop"))
    # The run of a part of the tests has histories, and no figures that others would compare with.
    (run,) = runs
    figures = {metric.name: metric.value for metric in run.metrics["pytest"]}
    assert figures["tests_collected"] == 7
    assert figures["tests_failed"] == 2
    assert run.metrics["pytest"][0].tool == "pytest"
    # A gate judges runs that measured all that it asks for.
    assert latest_run(runs) is None
    decisions = in_memory(project, lambda memory: TestOrdering(memory, "shop").decisions())
    assert [(each.ran, each.failed) for each in decisions] == [(6, 3)]


def test_an_interrupted_run_keeps_what_had_ended(pytester: pytest.Pytester, project: Path) -> None:
    pytester.makepyfile(
        "def test_a(): pass\ndef test_b(): raise KeyboardInterrupt\ndef test_c(): pass"
    )
    result = pytester.runpytest_inprocess("--aqe", no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert outcomes(project) == {"test_a": ["passed"]}
    assert in_memory(project, lambda memory: runs_of(memory, "shop")) == []


def test_a_killed_run_keeps_nothing_and_leaves_no_process(
    pytester: pytest.Pytester, project: Path
) -> None:
    pytester.makepyfile(
        """
        import os, pytest, threading
        def test_sees_neither_a_child_nor_a_thread_of_ours():
            with pytest.raises(ChildProcessError):
                os.wait()
            assert threading.active_count() == 1
        def test_kills():
            os._exit(9)
        """
    )
    result = pytester.runpytest_subprocess("--aqe", "-v")
    assert result.ret == 9
    result.stdout.fnmatch_lines(["*::test_sees_neither_a_child_nor_a_thread_of_ours PASSED*"])
    own = [each for each in psutil.process_iter(["cmdline", "cwd"]) if _is_of(each, project)]
    while any(_lives(each) for each in own):
        time.sleep(0.02)
    assert records(project) == {}


def _lives(process: psutil.Process) -> bool:
    try:
        # Nobody may be there to take it in.
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_of(process: psutil.Process, project: Path) -> bool:
    words = process.info["cmdline"] or []
    return words[-1:] == ["lionagi_qe.integrations.pytest.memory_service"] and (
        process.info["cwd"] == str(project)
    )


@pytest.mark.parametrize("answers", [False, True], ids=["refused", "silent"])
def test_a_memory_that_cannot_be_reached_fails_no_test(
    pytester: pytest.Pytester, *, answers: bool
) -> None:
    pytester.makepyfile("def test_a(): pass")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers:
            server.listen()
        url = f"redis://:secret@127.0.0.1:{server.getsockname()[1]}/0"
        result = pytester.runpytest_inprocess(
            f"--aqe={url}", "--aqe-order=learned", "-o", "aqe_timeout=0.5"
        )
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "aqe: all tests run, as they come: *127.0.0.1:*",
            "warning: how 1 tests ended was not kept*127.0.0.1:*",
        ]
    )
    result.stdout.no_fnmatch_line("*secret*")
    result.stdout.no_fnmatch_line("*defect*")


def test_the_likeliest_to_fail_run_first_on_all_workers_alike(
    pytester: pytest.Pytester, project: Path
) -> None:
    # As pytest-randomly does it, before others choose: what is equally likely stays shuffled.
    pytester.makeconftest(
        """
        import pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_collection_modifyitems(items):
            items.reverse()
        """
    )
    pytester.makepyfile(
        """
        def test_a(): pass
        def test_b(): assert False
        def test_c(): pass
        """
    )
    pytester.runpytest_inprocess("--aqe").assert_outcomes(passed=2, failed=1)
    result = pytester.runpytest_inprocess("--aqe-order=learned", "-v")
    result.stdout.fnmatch_lines(["aqe: tests run in the learned order*", "*::test_b FAILED*"])
    result.stdout.fnmatch_lines(["*::test_b *", "*::test_c *", "*::test_a *"])
    spread = pytester.runpytest_subprocess("--aqe-order=learned", "-n2")
    spread.assert_outcomes(passed=2, failed=1)
    found = records(project)
    assert [len(found[test]) for test in ("test_a", "test_b", "test_c")] == [3, 3, 3]
    assert {past[-1]["worker"] for past in found.values()} <= {"gw0", "gw1"}
    decisions = in_memory(project, lambda memory: TestOrdering(memory, "shop").decisions())
    assert [(each.acting, each.ran) for each in decisions] == [
        ("given", 3),
        ("learned", 3),
        ("learned", 3),
    ]


RERUN = """
import itertools, pytest

counts = itertools.count()

@pytest.fixture(scope="module")
def wide():
    print("wide begins")
    yield
    print("wide ends")

@pytest.fixture
def narrow(wide, record_property):
    print("narrow begins")
    record_property("told", next(counts))
    yield
    print("narrow ends")

def test_flaky(narrow):
    assert next(counts) > 2

class TestClass:
    def test_known(self): pass
    @pytest.mark.parametrize("n", [1, 2])
    def test_changed(self, n): VALUE

def test_is_skipped(): pytest.skip()
"""


def test_new_and_changed_tests_run_several_times_and_the_flaky_are_told(
    pytester: pytest.Pytester, project: Path
) -> None:
    file = pytester.makepyfile(test_it="def test_old(): pass")
    first = pytester.runpytest_inprocess("--aqe-rerun-new=3")
    first.stdout.fnmatch_lines(["aqe: no test is repeated: the memory knows none yet*"])
    file.write_text(RERUN.replace("VALUE", "assert n"))
    os.utime(file, (1, 1))
    result = pytester.runpytest_inprocess(
        "--aqe-rerun-new=3", "-s", "--junitxml=out.xml", "-o", "junit_family=xunit1"
    )
    # Reported once each, by the first failure.
    result.assert_outcomes(passed=3, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["flaky: test_it.py::test_flaky: failed 1 of 3 runs"])
    result.stdout.fnmatch_lines(["*failed 1 of 3 runs: it is flaky*"])
    output = result.stdout.str()
    assert [output.count(f"{each} begins") for each in ("wide", "narrow")] == [1, 3]
    assert [output.count(f"{each} ends") for each in ("wide", "narrow")] == [1, 3]
    cases = ET.parse("out.xml").findall(".//testcase")  # noqa: S314 - our own
    assert len(cases) == 5
    properties = {each.get("name"): each.get("value") for each in cases[0].iter("property")}
    assert properties == {"told": "0", "aqe_runs": "3", "aqe_failures": "1"}
    history = in_memory(project, lambda memory: RunHistory(memory, "shop").history())
    (hunt,) = history.flaky["test_it.py::test_flaky"]
    assert (hunt["runs"], hunt["failures"], hunt["cause"]) == (3, 1, "randomness")
    assert records(project)["test_flaky"][0]["attempts"] == ["failed", "passed", "passed"]

    # From now on they are known; a test whose own text changes is run again, moved ones are not.
    file.write_text("# moved\n" + RERUN.replace("VALUE", "assert n == 1"))
    os.utime(file, (2, 2))
    pytester.runpytest_inprocess("--aqe-rerun-new=3").assert_outcomes(passed=2, failed=2, skipped=1)
    found = records(project)
    assert {test for test, past in found.items() if "attempts" in past[-1]} == {
        "TestClass::test_changed[1]",
        "TestClass::test_changed[2]",
    }


QUARANTINED = """
import pytest
from tests.users_pytest import as_for_a_user

@pytest.fixture
def broken():
    yield
    raise OSError("left open")

def test_fails(): assert 1 == 2, "of course"
def test_errs(broken): pass
@pytest.mark.xfail(strict=True)
def test_passes_unexpectedly(): pass
def test_passes(): pass
def test_other(): pass
"""


def test_failures_of_quarantined_tests_are_told_and_do_not_fail_the_run(
    pytester: pytest.Pytester, project: Path
) -> None:
    pytester.makepyfile(test_it=QUARANTINED)
    tests = ("test_fails", "test_errs", "test_passes_unexpectedly", "test_passes")
    lines = "\n".join(f"test_it.py::{test}  # randomness" for test in tests)
    (project / "list.txt").write_text(f"# Flaky\n{lines}\n")
    plain = pytester.runpytest_inprocess("--aqe-quarantine=list.txt", "--junitxml=out.xml", "-rx")
    assert plain.ret == 0
    plain.assert_outcomes(passed=3, xfailed=3)
    plain.stdout.fnmatch_lines(
        [
            "aqe: failures of 4 tests are quarantined",
            "quarantined: test_it.py::test_fails: AssertionError: of course",
            "XFAIL test_it.py::test_fails - quarantined: AssertionError: of course",
        ]
    )
    skipped = ET.parse("out.xml").findall(".//skipped")  # noqa: S314 - our own
    assert [each.get("type") for each in skipped] == ["pytest.xfail"] * 3
    # Nothing but the list was asked for.
    assert not memory_around(project).file.exists()

    pytester.makepyprojecttoml(f'{PROJECT}[tool.aqe]\nquarantine = "list.txt"\n')
    assert pytester.runpytest_inprocess("--aqe").ret == 0
    # The memory knows better.
    assert outcomes(project) == {
        "test_fails": ["failed"],
        "test_errs": ["error"],
        "test_passes_unexpectedly": ["failed"],
        "test_passes": ["passed"],
        "test_other": ["passed"],
    }
    assert pytester.runpytest_inprocess("--aqe-quarantine=").ret == 1
    missing = pytester.runpytest_inprocess("--aqe-quarantine=none.txt")
    assert missing.ret == pytest.ExitCode.USAGE_ERROR
    missing.stderr.fnmatch_lines(["*none.txt: the quarantine list can't be read*"])


def test_only_tests_that_a_change_needs_run(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project)
    shop = project / "selected_shop.py"
    text = "def total():\n    return 1\n\n\ndef count():\n    return 2\n"
    shop.write_text(text)
    tests = ["total", "count"]
    pytester.makepyfile(
        test_it="import selected_shop\n"
        + "".join(f"def test_{each}(): assert selected_shop.{each}()\n" for each in tests)
    )
    (project / ".gitignore").write_text("state\n*.pyc\n__pycache__\n.pytest_cache\n")
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b.c commit -qm first"):
        subprocess.run(["git", *words.split()], check=True, cwd=project)
    unmapped = pytester.runpytest_inprocess("--aqe-select=HEAD")
    unmapped.assert_outcomes(passed=2)
    unmapped.stdout.fnmatch_lines(["aqe: all tests run: no run * has mapped them*"])
    names = [f"test_it.py::test_{each}" for each in tests]
    mapped = line_map.MappedFile(
        {2: frozenset(names[:1]), 6: frozenset(names[1:])},
        frozenset({1, 5}),
        line_map.hashes(text.split("\n")),
    )
    known = line_map.TestMap(None, frozenset(names), {"selected_shop.py": mapped})
    in_memory(project, lambda memory: Maps(memory, "shop").store("run", known))

    idle = pytester.runpytest_inprocess("--aqe-select=HEAD")
    assert idle.ret == 0
    idle.stdout.fnmatch_lines(["aqe: 0 of 2 mapped tests are needed since HEAD*"])
    shop.write_text(text.replace("return 2", "return 2 + 0"))
    # What is too new for the map runs, too.
    pytester.makepyfile(test_new="def test_new(): pass")
    result = pytester.runpytest_inprocess("--aqe-select=HEAD", "-v")
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["*::test_count PASSED*", "*::test_new PASSED*"])
    unknown = pytester.runpytest_inprocess("--aqe-select=nowhere")
    unknown.assert_outcomes(passed=3)
    unknown.stdout.fnmatch_lines(["aqe: all tests run: nowhere: git can't compare*"])


def test_what_is_asked_for_wrongly_is_said(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it="def test_a(): pass")
    for words, said in (
        (["--aqe", "test_it.py"], "*--aqe test_it.py: is no URL*write --aqe behind the paths*"),
        (["--aqe-rerun-new=1"], "*--aqe-rerun-new 1: should be 2 or more*"),
        (["--aqe", "-o", "aqe_timeout=soon"], "*aqe_timeout = soon: should be a number*"),
        (["-p", "no:aqe", "--aqe"], "*unrecognized arguments: --aqe*"),
    ):
        result = pytester.runpytest_inprocess(*words)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([said])
    assert pytester.runpytest_inprocess("--aqe", "--collect-only").ret == 0
    assert pytester.runpytest_inprocess("-p", "no:aqe").ret == 0

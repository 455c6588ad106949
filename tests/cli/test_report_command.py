"""``aqe report``: which run is shown, where its pages go, and what it says of wrong uses."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests import programs
from tests.report.pages import read
from tests.report.recorded_run import COMMITS, Size, recorded_run

from lionagi_qe import open_memory
from lionagi_qe.cli.main import main
from lionagi_qe.fleet.request import request_for
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.fleet.run_record import KEPT_RUNS, RunRecord, RunRecords

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Aqe = Callable[..., programs.Done]

RUNS = ("20270101T000001.000000Z-aaa111", "20270102T000002.000000Z-bbb222")
HUNT = "20270103T000003.000000Z-ccc333"


def record(run: str, agents: tuple[str, ...] = ()) -> RunRecord:
    made = recorded_run(Size(tests=12)).record
    findings = {name: made.findings[name] for name in agents or made.findings}
    return dataclasses.replace(made, run=run, project="shop", findings=findings)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, two runs of it, and a hunt for flaky tests after them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("LIONAGI_QE_MEMORY", raising=False)
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    for file, text in recorded_run(Size(tests=12)).texts.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)

    async def keep() -> None:
        async with open_memory(request_for(folder, agents=[]).memory_url) as memory:
            for made in (*map(record, RUNS), record(HUNT, ("flaky-test-hunter",))):
                details = made.findings["flaky-test-hunter"].details | {"runs": {}}
                hunter = dataclasses.replace(made.findings["flaky-test-hunter"], details=details)
                found = dict(made.findings) | {"flaky-test-hunter": hunter}
                await RunHistory(memory, "shop").record(made.run, found, {})
                await RunRecords(memory, "shop").keep(made)

    asyncio.run(keep())
    return folder


@pytest.fixture
def aqe(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., programs.Done]:
    """Run a command in the project's directory, within this process: that costs less."""
    monkeypatch.chdir(shop)

    def call(*arguments: object) -> programs.Done:
        code = main([str(each) for each in arguments])
        return programs.Done(code, *capsys.readouterr())

    return call


def test_the_last_run_of_tests_is_shown_beside_the_project(aqe: Aqe, shop: Path) -> None:
    done = aqe("report")
    assert (done.code, done.output) == (0, f"{shop}/aqe-report/index.html\n"), done.complaints
    pages = read(shop / "aqe-report").pages
    assert f"run {RUNS[1]}" in pages["index.html"].text()
    assert "part_0.py" in " ".join(pages), "with the source, as it is still what was examined"
    assert (shop / "aqe-report" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(("named", "run"), [(RUNS[0], RUNS[0]), ("aaa1", RUNS[0]), ("ccc", HUNT)])
def test_a_run_is_named_by_its_id_or_a_part_of_it(
    aqe: Aqe, shop: Path, named: str, run: str
) -> None:
    done = aqe("report", named, "--html", "pages")
    assert done.code == 0, done.complaints
    report_of = read(shop / "pages")
    assert f"run {run}" in report_of.pages["index.html"].text()
    # Of later runs it knows nothing.
    assert all(known <= run for known, _ in report_of.tests["runs"])


def test_runs_that_can_be_shown_are_listed_the_last_one_first(aqe: Aqe, shop: Path) -> None:
    done = aqe("report", "--list")
    lines = done.output.splitlines()
    assert [line.split()[0] for line in lines] == [HUNT, *reversed(RUNS)]
    assert "gate failed, 12 tests" in lines[1]
    assert not (shop / "aqe-report").exists()


def test_the_page_is_shown_in_the_browser_that_was_chosen(shop: Path) -> None:
    browser = shop.parent / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shop.parent}/shown\n')
    browser.chmod(0o755)

    def opened(command: str) -> programs.Done:
        return programs.call(*programs.AQE, "report", "--open", cwd=shop, env={"BROWSER": command})

    done = opened(f"{browser} %s")
    assert done.code == 0, done.complaints
    shown = (shop.parent / "shown").read_text().strip()
    assert shown == f"file://{shop}/aqe-report/index.html"
    none = opened("false %s")
    assert (none.code, none.output) == (3, f"{shop}/aqe-report/index.html\n")
    assert "no browser could be started; open" in none.complaints


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "run 'nosuch': no run of 'shop' has that in its name"),
        (["2027010"], "3 runs of 'shop' have that in their names"),
        (["--html", "pyproject.toml"], "--html pyproject.toml: is no directory"),
        (["--html", "src"], "--html src: holds other files, which are left alone"),
        (["--html", "no/such"], "its directory does not exist; create it first"),
        (["--project", "nosuch"], "there is no such directory"),
        (["--memory", "sqlite:///none.db"], "no run of 'shop' is in sqlite:///none.db"),
        (["--fleet", "another"], "there is no fleet 'another'"),
    ],
)
def test_wrong_uses_say_what_to_do(aqe: Aqe, shop: Path, arguments: list[str], said: str) -> None:
    before = sorted(shop.rglob("*"))
    done = aqe("report", *arguments)
    assert done.code == 2
    assert said in done.complaints
    assert done.complaints.count("\n") == 1
    assert sorted(shop.rglob("*")) == before


@pytest.mark.parametrize("option", ["--list", "--open"])
def test_a_project_without_a_run_in_a_memory_of_others_says_so(
    aqe: Aqe, shop: Path, option: str
) -> None:
    url = request_for(shop, agents=[]).memory_url
    done = aqe("report", option, "--project", "src", "--memory", url)
    assert done.code == 2
    assert f"no run of 'src' is kept with what it found; start with aqe run; looked in {url}" in (
        done.complaints
    )


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("html", "--report html: write one of html=DIR, json=FILE"),
        ("html=", "--report html=: write one of html=DIR, json=FILE"),
        ("html=pyproject.toml", "is no directory; name a new or an empty one"),
        ("html=src", "holds other files, which are left alone; name a new or an empty one"),
    ],
)
def test_a_run_says_before_it_begins_that_pages_can_t_go_there(
    aqe: Aqe, form: str, said: str
) -> None:
    done = aqe("run", ".", "--report", form)
    assert (done.code, done.output) == (2, "")
    assert said in done.complaints


async def test_what_the_last_runs_found_is_kept_as_it_was(tmp_path: Path) -> None:
    async with open_memory(f"sqlite:///{tmp_path}/memory.db") as memory:
        records = RunRecords(memory, "a/shop %")
        kept = [record(f"2027{number:04}") for number in range(KEPT_RUNS + 3)]
        for each in kept:
            await records.keep(each)
        await RunRecords(memory, "another").keep(kept[0])

        assert await records.runs() == [each.run for each in kept[3:]]
        found = await records.retrieve(kept[-1].run)
        assert found is not None
        assert (found.findings, found.comparison) == (kept[-1].findings, kept[-1].comparison)
        assert (found.sources, found.commit) == (kept[-1].sources, COMMITS[1])
        assert await records.retrieve(kept[0].run) is None
        assert await RunRecords(memory, "another").runs() == [kept[0].run]

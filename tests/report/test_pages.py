"""What a run found, as pages: whole by themselves, valid, true, and whatever it says is text."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.report.pages import Report, target, written
from tests.report.recorded_run import Recorded, Size, recorded_run

from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.finding import Finding
from lionagi_qe.display import spelled_out
from lionagi_qe.fleet.comparison import Comparison
from lionagi_qe.fleet.project_past import ProjectPast

if TYPE_CHECKING:
    from pathlib import Path

HARMLESS = "text"
HOSTILE = (
    "\"><script>alert(1)</script></title></pre><img src=x onerror='alert(2)'>"
    "' onmouseover=alert(3) x='&lt;b&gt;&amp;#39; {{ 7 * 7 }}{% raw %}<!-- ]]> --><svg onload=x>"
    " javascript:alert(4) ../../../etc/passwd \u2028\u202e\x1b[31m\x00\ud800 \\u003c `rm` $(rm)"
    " %00%3C#?"
)
# What a page may hold that does something, or shows what isn't its text.
ACTIVE = frozenset(
    {"script", "iframe", "img", "object", "embed", "style", "base", "video", "audio"}
)
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; base-uri 'none'; "
    "form-action 'none'"
)


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return recorded_run(text=HARMLESS)


@pytest.fixture(scope="module")
def report(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return written(recorded, tmp_path_factory.mktemp("report") / "harmless")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return written(recorded_run(text=HOSTILE), tmp_path_factory.mktemp("report") / "hostile")


both = pytest.mark.parametrize("which", ["report", "hostile"])


@both
def test_pages_are_valid_and_have_every_id_once(which: str, request: pytest.FixtureRequest) -> None:
    for page in request.getfixturevalue(which).pages.values():
        assert page.errors == [], page.path
        assert len(page.ids()) == len(set(page.ids())), page.path


@both
def test_pages_load_nothing_from_elsewhere_and_say_so_to_the_browser(
    which: str, request: pytest.FixtureRequest
) -> None:
    report: Report = request.getfixturevalue(which)
    for page in report.pages.values():
        policies = [
            element.attrib["content"]
            for name, element in page.elements()
            if name == "meta" and element.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policies == [POLICY]
        for name, element in page.elements():
            assert not [attribute for attribute in element.attrib if attribute.startswith("on")]
            assert "style" not in element.attrib
            if name in ACTIVE or name == "link":
                assert name in {"script", "link"}, page.path
                address = element.get("src") or element.get("href") or ""
                assert (report.directory / target(page, address)[0]).is_file(), page.path
                assert not "".join(element.itertext())


@both
def test_links_lead_to_pages_and_places_that_are_there(
    which: str, request: pytest.FixtureRequest
) -> None:
    report: Report = request.getfixturevalue(which)
    tests = {test[0] for test in report.tests["tests"]}
    web = 0
    for page in report.pages.values():
        for address in page.addresses():
            if urlsplit(address).scheme:
                assert address.startswith("https://example.org/")
                web += 1
                continue
            path, place = target(page, address)
            assert (report.directory / path).is_file(), f"{page.path}: {address}"
            if path == "test.html" and address != "#main":
                assert place in tests
            elif place and path != "tests.html":
                assert place in report.pages[path].ids(), f"{page.path}: {address}"
    # Of the rules' explanations; those that would run as a script are none.
    assert web == Size().findings / 2


def test_hostile_text_changes_no_element_and_is_shown_as_it_is(
    report: Report, hostile: Report
) -> None:
    assert len(report.pages) == len(hostile.pages)
    for harmless, page in zip(report.pages.values(), hostile.pages.values(), strict=True):
        assert page.skeleton() == harmless.skeleton(), page.path
    for name in ("index", "coverage", "mutants", "flaky", "findings", "generated", "provenance"):
        assert spelled_out(HOSTILE) in hostile.pages[f"{name}.html"].text()
    assert any(test[0].endswith(f"[{spelled_out(HOSTILE)}]") for test in hostile.tests["tests"])


def test_the_script_of_tests_is_plain_data_that_ends_no_element(hostile: Report) -> None:
    text = (hostile.directory / "tests.js").read_text(encoding="utf-8")
    assert not set("<>&\u2028\u2029\x00") & set(text)
    head, _, data = text.partition("const AQE_TESTS = ")
    assert head == '"use strict";\n'
    assert json.loads(data.removesuffix(";\n"))["tests"]


def test_a_command_to_repeat_a_test_quotes_what_a_shell_would_run(hostile: Report) -> None:
    shown = hostile.pages["flaky.html"].text()
    assert "aqe repeat . 'tests/test_1.py::test_1[" in shown
    assert "`rm` $(rm) %00%3C#?]' --seed 7 --at '" in shown


def test_every_figure_of_the_run_is_on_the_page_of_provenance_with_its_tool(
    recorded: Recorded, report: Report
) -> None:
    page = report.pages["provenance.html"]
    rows = {
        element.attrib["id"]: "".join(element.itertext())
        for name, element in page.elements()
        if name == "tr" and "id" in element.attrib
    }
    for findings in recorded.record.findings.values():
        for metric in findings.metrics:
            row = rows.pop(metric.name)
            assert metric.tool in row
            assert (metric.command or "") in row
            assert ("not measured" in row) is not metric.measured
            if metric.measured and not isinstance(metric.value, list):
                shown = f"{metric.value:.2f}" if isinstance(metric.value, float) else metric.value
                assert str(shown) in row
    assert rows == {}


def test_figures_on_all_pages_are_those_of_the_run_and_lead_to_their_provenance(
    recorded: Recorded, report: Report
) -> None:
    seen: set[str] = set()
    for page in report.pages.values():
        for name, element in page.elements():
            if name != "a" or "provenance.html#" not in element.attrib["href"]:
                continue
            figure = element.attrib["href"].partition("#")[2]
            metric = recorded.record.metric(figure)
            assert metric is not None
            shown = "".join(element.itertext()).split()[0]
            value = len(metric.value) if isinstance(metric.value, list) else metric.value
            told = f"{value:.2f}" if isinstance(value, float) else str(value)
            assert shown == (told if metric.measured else "not"), figure
            seen.add(figure)
    assert {
        "tests_failed",
        "line_coverage",
        "diff_coverage",
        "mutation_score",
        "flaky_tests",
    } <= seen


def test_tests_have_their_outcomes_and_pasts(recorded: Recorded, report: Report) -> None:
    data = report.tests
    told = recorded.record.detail("test-executor", "tests")
    assert [test[0] for test in data["tests"]] == [test["id"] for test in told]
    for test, (_, outcome, milliseconds, message, past) in zip(told, data["tests"], strict=True):
        assert data["outcomes"][outcome] == test["outcome"]
        assert milliseconds == round(1000 * test["seconds"])
        assert message < 0 or data["messages"][message] == test["message"]
        records = recorded.past.tests[test["id"]]
        assert [data["outcomes"][int(each.split()[1])] for each in past.split(",")] == [
            each["outcome"] for each in records
        ]


def test_a_failing_test_tells_since_when_and_a_flaky_one_its_rate(report: Report) -> None:
    data = report.tests
    last = len(data["runs"]) - 1
    assert data["since"] == {"0": [last, last - 1], "10": [last, last - 1], "20": [last, last - 1]}
    assert data["flaky"]["1"]["rate"] == [0.0833, 0.0361, 0.1807]
    # Of an earlier hunt, and what one commit has seen pass and fail.
    assert data["flaky"]["4"]["rate"][0] == 0.1
    assert data["flaky"]["0"]["mixed"] == "a" * 40
    assert data["mutants"] == {"0": [0, 1, 2], "3": [0, 1, 2]}


def test_source_shows_what_ran_what_did_not_and_what_was_found_there(report: Report) -> None:
    (page,) = (page for path, page in report.pages.items() if path.endswith("part_0.py.html"))
    lines = {
        each.attrib["id"]: each
        for name, each in page.elements()
        if name == "li" and "id" in each.attrib
    }
    assert lines["L6"].attrib["class"] == "m"
    assert lines["L3"].attrib["class"] == "r"
    assert lines["L4"].attrib["class"] == "p"
    assert "never went on to line 6" in "".join(lines["L4"].itertext())
    assert "class" not in lines["L2"].attrib
    assert "subprocess call with shell=True" in page.text()
    assert "if total >= 0:" in page.text()


def test_lines_with_secrets_are_not_shown_and_files_that_only_hold_them_have_no_page(
    recorded: Recorded, tmp_path: Path
) -> None:
    key = (
        'KEY = """-----BEGIN RSA PRIVATE KEY-----\nbody1\nbody2\n-----END RSA PRIVATE KEY-----"""\n'
    )
    code, settings = "src/shop/part_0.py", "settings.ini"
    texts = {code: f"{key}token = 'hunter2'\nprint(token)\n", settings: "password = hunter3\n"}
    found = [
        asdict(Finding("detect-secrets", "1.5", "Secret", "secret", "error", "a secret", *place))
        for place in ((code, 1), (code, 5), (settings, 1))
    ]
    static = Findings("static-analyzer", (), {"findings": found, "tools": []})
    lines = {code: {"ran": "1-6", "missed": "", "missed_branches": []}}
    coverage = Findings("coverage-analyzer", (), {"measured_lines": lines, "files": [], "gaps": []})
    record = replace(
        recorded.record,
        findings={static.agent: static, coverage.agent: coverage},
        comparison=None,
        sources=dict.fromkeys(texts, "0" * 40),
    )
    report = written(Recorded(record, ProjectPast(), texts), tmp_path / "report")
    (page,) = (page for path, page in report.pages.items() if path.startswith("source/"))
    assert page.text().count("a secret was found in this line") == 5
    assert "print(token)" in page.text()
    for path in report.directory.rglob("*.*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not {"hunter2", "hunter3", "body1"} & set(re.findall(r"\w+", text)), path


def test_source_that_is_nowhere_to_be_had_is_said_to_be_so(
    recorded: Recorded, tmp_path: Path
) -> None:
    report = written(Recorded(recorded.record, recorded.past, {}), tmp_path / "report")
    assert (
        "The source of 3 files as it was examined is not at hand"
        in report.pages["coverage.html"].text()
    )
    assert not list((tmp_path / "report" / "source").iterdir())


def test_a_run_that_no_memory_knows_of_is_told_without_a_past(
    recorded: Recorded, tmp_path: Path
) -> None:
    same = replace(recorded.record, comparison=Comparison("before", (), (), (), (), (), {}))
    report = written(Recorded(same, ProjectPast(), recorded.texts), tmp_path / "report")
    overview = report.pages["index.html"]
    assert "No test or figure changed since run before." in overview.text()
    assert not [name for name, element in overview.elements() if name == "ul" and not len(element)]
    assert "These pages know no earlier runs" in report.pages["provenance.html"].text()
    assert all(test[4].count(",") == 0 for test in report.tests["tests"])


def test_a_run_of_one_agent_says_what_was_not_asked_for(recorded: Recorded, tmp_path: Path) -> None:
    only = {"quality-gate": recorded.record.findings["quality-gate"]}
    record = replace(recorded.record, findings=only, comparison=None)
    report = written(Recorded(record, ProjectPast(), {}), tmp_path / "report")
    for name, agent in (("coverage", "coverage-analyzer"), ("mutants", "mutation-tester")):
        assert f"{agent} was not asked for" in report.pages[f"{name}.html"].text()
    assert all(page.errors == [] for page in report.pages.values())


def test_a_smaller_report_takes_the_place_of_a_larger_one(tmp_path: Path) -> None:
    place = tmp_path / "report"
    written(recorded_run(Size(files=5)), place)
    (place / "source" / "notes.txt").write_text("mine")
    (place / "mine.html").write_text("<!doctype html><html lang=en><title>mine</title>")
    report = written(recorded_run(Size(files=2)), place)
    assert len([path for path in report.pages if path.startswith("source/")]) == 2
    assert (place / "source" / "notes.txt").read_text() == "mine"
    assert "mine.html" in report.pages
    assert not list(place.glob("*.part"))


@pytest.mark.parametrize("text", [HARMLESS, HOSTILE])
def test_writing_the_same_run_again_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    recorded = recorded_run(text=text)
    contents: list[dict[str, bytes]] = []
    for place in ("one", "two"):
        report = written(recorded, tmp_path / place)
        contents.append({path: (report.directory / path).read_bytes() for path in report.pages})
    assert contents[0] == contents[1]


def test_changed_lines_that_no_test_ran_are_named(report: Report) -> None:
    text = " ".join(report.pages["coverage.html"].text().split())
    told = [page.text() for path, page in report.pages.items() if path.startswith("source/")]
    assert [f"changed since main{HARMLESS}: " in page for page in told].count(True) == 1
    assert text.count("new since the run before") == 1
    assert f"(2 of 4 lines changed since main{HARMLESS})" in text
    assert re.search(r"no test runs it: src/shop/textpart_0.py:6 ?\u2013 ?7", text)

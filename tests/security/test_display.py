"""What others wrote is shown as text: on terminals, to CI servers, in reports and comments."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests import programs

from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.environment.target import Environment
from lionagi_qe.agents.finding import Finding
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.layout import Layout
from lionagi_qe.display import visible
from lionagi_qe.fleet.comparison import Comparison
from lionagi_qe.fleet.report import console
from lionagi_qe.fleet.report.annotations import as_annotations
from lionagi_qe.fleet.report.code_quality import as_code_quality
from lionagi_qe.fleet.report.json import as_json
from lionagi_qe.fleet.report.junit import as_junit
from lionagi_qe.fleet.report.markdown import as_markdown
from lionagi_qe.fleet.report.sarif import as_sarif
from lionagi_qe.fleet.run import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

NASTY = [
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "\x7f\x08\x08",
    "a\rb",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\U000e0041\U000e0042",
    "\u200b\u2060\ufeff\xad",
    "a\U000e0151\U000e01ee",
    "\udcff",
    "\x00",
    "\x85\u2028",
    "::error::owned",
    "\n  ::stop-commands::x",
    "##[add-path]/evil",
    "##vso[task.setvariable variable=x]y",
    "%0A::error::x",
    "[bold]x[/]",
    "[link=https://evil]x[/link]",
    "a,b:c=d",
    "]]>&amp;<script>alert(1)</script>",
    "| cell | `code` ``` <img src=x> ![x](http://evil) [x](javascript:x)",
    "@everyone fixes #1 GH-7 https://evil.example www.evil.example $x$",
    "&lt;b&gt; \\` \\| *x* _y_ ~z~",
]
TEXTS = st.lists(st.sampled_from(NASTY) | st.text(max_size=5), min_size=1, max_size=3).map("".join)
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e01ef]"
)


def outcome_of(text: str) -> Outcome:
    """Return an outcome in which all that a project decides on is this text."""
    source = Source("pytest", "8", f"pytest {text}", text)
    case = {
        "id": f"test_{text}.py::test[{text}]",
        "outcome": "failed",
        "message": f"{text}\nassert {text}",
        "seconds": 0.1,
        "subtests": {},
    }
    finding = Finding("bandit", "1", "B1", text, "error", text, f"{text}.py", 3, fingerprint="f")
    gap = {"missed_lines": [1], "lines": 2, "missed_branches": 0, "complexity": 1, "line": 1}
    tool = {"tool": "bandit", "version": "1", "command": f"bandit {text}", "reason": text}
    executor = Findings(
        "test-executor",
        (
            source.measured("tests_collected", 1, "tests"),
            source.measured("tests_failed", 1, "tests"),
        ),
        {"tests": [case], "uncollectable": {f"{text}.py": text}},
        (text,),
    )
    coverage = Findings(
        "coverage-analyzer",
        (
            source.unmeasured("line_coverage", "%", text),
            source.measured("gaps", [gap], "functions"),
        ),
        {"gaps": [{**gap, "function": text, "file": text}]},
    )
    static = Findings(
        "static-analyzer",
        (source.measured("security_findings", 1, "findings"),),
        {"findings": [asdict(finding)], "tools": [tool]},
    )
    ruling = {"rule": text, "verdict": "failed", "detail": text}
    gate = Findings("quality-gate", (source.measured("gate", "failed", ""),), {"rulings": [ruling]})
    generated = {"file": text, "function": text, "source": f"{text}\n{text}"}
    added = {"lines_added": [6, 8, 9], "mutants_tried": 3, "mutants_killed": 2}
    left = {"file": text, "function": text, "why": text}
    generator = Findings(
        "test-generator",
        (),
        {"tests": [generated | added], "possible_bugs": [], "rejected": [left]},
    )
    everything = (executor, coverage, static, generator, gate)
    comparison = Comparison(text, (text,), (text,), (text,), (text,), (), {})
    environment = Environment(
        Path("python"), "3.11", Layout((Path(),), (), ()), (), text, changeable=True, notes=(text,)
    )
    return Outcome(
        "run",
        text,
        Path(text.replace("\0", "")),
        text,
        datetime.now(UTC),
        environment,
        {each.agent: each for each in everything},
        comparison,
        "memory://",
        None,
    )


def on_a_terminal(outcome: Outcome) -> str:
    file = io.StringIO()
    console.write(outcome, Console(file=file, force_terminal=True, width=200, emoji=False))
    # Colours and bold are rich's own.
    return re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())


def in_a_log(outcome: Outcome) -> str:
    file = io.StringIO()
    console.write(outcome, Console(file=file, width=200, emoji=False))
    return file.getvalue()


@pytest.mark.parametrize("write", [on_a_terminal, in_a_log])
@settings(max_examples=60)
@given(text=TEXTS)
def test_the_report_commands_no_terminal_and_no_ci_server(
    write: Callable[[Outcome], str], text: str
) -> None:
    told = write(outcome_of(text))
    assert not UNSEEN.search(told)
    assert not re.search(r"^\s*::|##\[|##vso\[", told, re.MULTILINE)
    assert "test_" in told


@pytest.mark.parametrize("before", ["word " * 30, "x" * 90])
@pytest.mark.parametrize("width", range(60, 100))
def test_a_line_broken_to_fit_begins_no_command(width: int, before: str) -> None:
    file = io.StringIO()
    console.show(Console(file=file, force_terminal=True, width=width), f"{before}::error::x")
    told = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())
    assert "error" in "".join(told.split())
    assert not re.search(r"^\s*::", told, re.MULTILINE)


@settings(max_examples=60)
@given(text=TEXTS)
def test_annotations_are_one_command_a_line(text: str) -> None:
    lines = as_annotations(outcome_of(text)).encode().decode().split("\n")
    for line in lines[:-1]:
        assert re.fullmatch(r"::(error|warning|notice) [^:\r]*::[^\r]*", line), line
        properties = line.split("::")[1].partition(" ")[2]
        assert all(re.fullmatch(r"(file|line|title)=[^,:]*", one) for one in properties.split(","))
    assert len(lines) == 5
    assert not UNSEEN.search("".join(lines))


@settings(max_examples=60)
@given(text=TEXTS)
def test_documents_for_programs_can_be_read_and_say_the_same(text: str) -> None:
    outcome = outcome_of(text)
    for form in (as_json(outcome, 1), as_sarif(outcome), as_code_quality(outcome)):
        form.encode()
        assert not UNSEEN.search(form)
    read = json.loads(as_json(outcome, 1))
    assert read["tests"][0]["id"] == f"test_{text}.py::test[{text}]"
    tree = ET.fromstring(as_junit(outcome))  # noqa: S314 - our own
    assert len(tree.findall(".//testcase")) == 2
    assert len(json.loads(as_sarif(outcome))["runs"]) == 1


@settings(max_examples=60)
@given(text=TEXTS)
def test_markdown_mentions_links_and_embeds_nothing(text: str) -> None:
    told = as_markdown(outcome_of(text))
    told.encode()
    assert not UNSEEN.search(told)
    assert "runs 3 lines that no test ran (6,8-9), notices 2 of 3 mutants" in told
    for line in without_blocks(told).split("\n"):
        prose = without_code(line)
        assert not re.search(r"(?<!\\)<(?!!-- -->)", prose), line
        assert not re.search(r"@\w|#\d|://|www\.|GH-\d|(?<!\\)\]\(|(?<!\\)&", prose), line
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", prose)) == 4, line


def without_blocks(text: str) -> str:
    """Return Markdown without its blocks of code: each ends at the first fence as long as its."""
    return re.sub(r"^(`{3,})python\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)


def without_code(line: str) -> str:
    """Return a line without what stands as code in it: between fences of as many backticks."""
    return re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "", line)


def test_a_sarif_message_has_no_link() -> None:
    message = json.loads(as_sarif(outcome_of("[x](https://evil)")))["runs"][0]["results"][0][
        "message"
    ]
    assert message["text"] == r"\[x\](https://evil)"


@given(text=st.text() | TEXTS)
def test_json_stays_what_it_is(text: str) -> None:
    shown = visible(json.dumps({text: [text]}, ensure_ascii=False, indent=2))
    assert json.loads(shown) == {text: [text]}
    shown.encode()


def test_usual_text_is_shown_as_it_is() -> None:
    for text in ("a::b", "  x ::y", "é日本語👩‍👩‍👧", "می‌خواهم", "#[a]", "\ta\n  b: c"):
        assert visible(text) == text


def test_keys_and_values_in_a_memory_command_no_terminal(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    value = json.dumps({"a": "\x1b[2J\x9b31m\u202e ::error::x"})
    aqe: Any = (*programs.AQE, "memory")
    assert programs.call(*aqe, "set", "aqe/k\u202e", value, "--memory", url).code == 0
    # Whoever writes past the library may call a key what he likes.
    database = sqlite3.connect(tmp_path / "m.db")
    database.execute("UPDATE entries SET key = key || ?", ("\x1b[31m",))
    database.commit()
    database.close()
    for command in (("ls",), ("ls", "--long"), ("search", "*"), ("search", "*", "--json")):
        done = programs.call(*aqe, *command, "--memory", url)
        assert done.code == 0, done.complaints
        assert "k\\u202e" in done.output
        assert not UNSEEN.search(done.output)
    (found,) = json.loads(done.output).values()
    assert found == json.loads(value)


def test_an_error_that_quotes_its_input_commands_no_terminal() -> None:
    done = programs.call(*programs.AQE, "memory", "ls", "--memory", "x\x1b[2J://h")
    assert done.code == 2
    assert not UNSEEN.search(done.complaints)


def test_what_is_logged_commands_no_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[2J\u202e"
    folder.mkdir()
    url = f"sqlite:///{folder}/m.db"
    assert programs.call(*programs.AQE, "memory", "set", "aqe/a", "1", "--memory", url).code == 0
    (folder / "m.db").chmod(0o644)
    done = programs.call(*programs.AQE, "memory", "ls", "--memory", url)
    assert "other users of this host could read it" in done.complaints
    assert not UNSEEN.search(done.complaints)

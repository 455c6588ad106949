"""The documents are true: their Python runs, their commands and links exist."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from tests import programs

from lionagi_qe.agents.gate.rules import parse_rules
from lionagi_qe.agents.project.settings import Settings, settings_of
from lionagi_qe.fleet.registry import all_agents, check_metrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "tests/**/README.md", "examples/**/README.md")
    for path in ROOT.glob(pattern)
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(ROOT)), text)
        for path in DOCUMENTS
        for kind, text in BLOCK.findall(path.read_text(encoding="utf-8"))
        if kind == language
    ]


# Excerpts that need surroundings are no programs; whole ones import what they use.
PROGRAMS = [
    (name, text)
    for name, text in blocks("python")
    if "asyncio.run(" in text or "with open_memory_sync(" in text
]


@pytest.mark.parametrize(("name", "program"), PROGRAMS)
def test_python_programs_run_as_they_are(name: str, program: str, tmp_path: Path) -> None:
    done = programs.call("-W", "error", "-c", program, cwd=tmp_path)
    assert done.code == 0, f"{name}: {done.complaints}"


def test_excerpts_of_python_compile() -> None:
    for name, text in blocks("python"):
        compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_readme_has_a_program_to_run() -> None:
    assert any(name == "README.md" for name, _ in PROGRAMS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path}: {target}"


def test_every_page_has_its_place_in_the_site() -> None:
    """``make docs`` says so, too, and takes longer."""
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"^```{toctree}\n(.*?)^```", index, re.MULTILINE | re.DOTALL)
    assert pages <= {line for tree in trees for line in tree.splitlines()}


def test_make_targets_that_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name, text in blocks("bash"):
        for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name}: make {target}"


def test_aqe_commands_and_options_that_documents_name_exist() -> None:
    for name, text in blocks("bash"):
        for line in re.findall(r"^aqe ([^#\n]+)", text, re.MULTILINE):
            words = line.split()
            shown = help_of(*(word for word in words[:2] if re.fullmatch(r"[a-z]+", word)))
            assert shown.code == 0, f"{name}: aqe {line}"
            for option in re.findall(r"--[a-z-]+", line):
                assert option in shown.output, f"{name}: aqe {line}: {option}"


@functools.cache
def help_of(*command: str) -> programs.Done:
    return programs.call(*programs.AQE, *command, "--help", env={"COLUMNS": "200"})


def test_toml_in_documents_is_toml() -> None:
    for _, text in blocks("toml"):
        assert tomllib.loads(text)


def test_the_fleet_s_page_names_every_agent_metric_and_setting_and_no_other() -> None:
    text = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    agents = all_agents()
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", text))
    metrics = {metric for agent in agents for metric in agent.metrics}
    assert metrics - named == set()
    assert {name for name in named if "_" in name} - metrics == set()
    assert re.findall(r"^\*\*([a-z-]+)\*\*", text, re.MULTILINE) == [agent.name for agent in agents]
    (settings,) = (found for found in blocks("toml") if found[0] == "docs/fleet.md")
    table = tomllib.loads(settings[1])["tool"]["aqe"]
    # The user's own, and what a run notes itself.
    others = {"model", "allow-network", "withheld"}
    options = {field.name.replace("_", "-") for field in fields(Settings)} - others
    assert table.keys() == options
    given = settings_of(ROOT, {"tool": {"aqe": table}}, {})
    check_metrics([*given.required, *(rule.metric for rule in parse_rules(given.fail_on))])


def test_tests_that_the_security_page_names_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert named
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_measured_rows_of_the_comparison_are_those_of_the_benchmarks() -> None:
    page = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    sections = dict(
        re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", benchmarks, re.MULTILINE | re.DOTALL)
    )
    drivers = {"SQLite": "apsw", "PostgreSQL": "asyncpg", "Redis": "redis-py"}
    measured = page.partition("## Measured")[2]
    rows = re.findall(
        r"^\| ([^|]+) \| (SQLite|PostgreSQL|Redis) \| (.+) \|$", measured, re.MULTILINE
    )
    assert len(rows) == 21
    for work, server, figures in rows:
        who = ("lionagi-qe", "LangGraph", "py-key-value", "SAQ", drivers[server])
        for name, figure in zip(who, figures.split("|"), strict=True):
            if figure.strip():
                assert f"| {work} | {name} | {figure.strip()} |" in sections[server]

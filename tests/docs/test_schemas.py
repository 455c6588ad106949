"""The JSON Schemas of what commands print: published as they are, and no command is without one.

Documents that commands print are held against them wherever a test calls a command: see
``tests/json_documents.py``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator
from tests.json_documents import GROUPS, RUNS, faults_of, name_of

from lionagi_qe.cli.documents import DOCUMENTS, schema_of
from lionagi_qe.cli.main import cli

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
FIGURES = sorted((ROOT / "docs" / "benchmarks").glob("*.json"))


def test_the_published_schemas_are_those_of_this_release() -> None:
    published = {
        file.name.removesuffix(".schema.json"): json.loads(file.read_text(encoding="utf-8"))
        for file in SCHEMAS.iterdir()
    }
    assert published == {name: schema_of(name) for name in DOCUMENTS}, "call make schema"
    for schema in published.values():
        Draft202012Validator.check_schema(schema)


def test_every_command_that_prints_json_has_a_schema() -> None:
    context = click.Context(cli)
    found = set()
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        for words, each in leaves(name, command):
            options = {option for param in each.params for option in param.opts}
            if "--json" in options and words[0] != "bench":
                found.add(name_of([*words, "--json"]))
                assert words[0] in RUNS or len(words) == (2 if words[0] in GROUPS else 1)
    # Files, and what options of a command make another document of.
    further = {
        "bench",
        "bench-sweep",
        "durations",
        "learn-eval-parts",
        "queue-dead-group",
        "run-all",
        "select-part",
    }
    assert found | further == set(DOCUMENTS)


def leaves(name: str, command: click.Command) -> list[tuple[list[str], click.Command]]:
    if not isinstance(command, click.Group):
        return [([name], command)]
    return [([name, each], command.commands[each]) for each in command.commands]


@pytest.mark.parametrize("file", FIGURES, ids=lambda file: file.stem)
def test_published_figures_keep_to_their_schema(file: Path) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    assert faults_of("bench-sweep" if "sweep" in document else "bench", document) == []


def test_the_page_of_documents_names_each_and_no_other() -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(schemas/([\w-]+)\.schema\.json\)", page)) == set(DOCUMENTS)


def test_a_document_with_a_field_that_its_schema_does_not_know_is_a_fault() -> None:
    states = ("ready", "delayed", "claimed", "done", "dead", "cancelled", "waiting")
    counts = dict.fromkeys(states, 0)
    assert faults_of("queue-stats", {**counts, "exact": True}) == []
    assert len(faults_of("queue-stats", {**counts, "exact": True, "new": 1})) == 1
    assert len(faults_of("queue-stats", {**counts, "exact": "yes"})) == 1

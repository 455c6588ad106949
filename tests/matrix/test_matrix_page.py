"""The matrix: its list is whole, its table says what came of each cell, old servers are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.matrix.cell_list import ListError, cells, sources
from tests.matrix.page import written
from tests.matrix.run import FAILED, NOT_HAD, PASSED, ROOT, Result

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.server_support.server_versions import refuse_older

if TYPE_CHECKING:
    from pathlib import Path

LISTED = """
[servers.pg13]
system = "postgresql"
npm = "postgres@13"
digest = "sha256:00"
program = "postgres"
[tests.contract]
arguments = ["tests/integration"]
[cells.pg13]
servers = ["pg13"]
tests = "contract"
"""


def test_the_list_names_each_supported_server_with_tests_that_are_there() -> None:
    listed = {cell.name: cell for cell in cells()}
    assert {f"pg{major}" for major in range(13, 19)} <= listed.keys()
    assert {"redis62", "redis70", "redis8", "valkey91", "cluster8", "poolers", "sqlite"} <= (
        listed.keys()
    )
    assert {"lowest", "newest", *(f"python3{minor}" for minor in (12, 13, 14))} <= listed.keys()
    for cell in listed.values():
        assert all((ROOT / word).exists() for word in cell.arguments if word.startswith("tests/"))


def test_a_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cells.toml"
    path.write_text(LISTED)
    (cell,) = cells(path)
    assert (cell.name, cell.arguments) == ("pg13", ("tests/integration",))
    assert cell.servers == (sources(path)["pg13"],)
    assert (cell.servers[0].origin, cell.servers[0].what) == ("npm", ("postgres@13",))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('digest = "sha256:00"\n', "", "needs a digest"),
        ('npm = "postgres@13"\n', "", "name one of npm, wheel"),
        ('servers = ["pg13"]', 'servers = ["pg99"]', "no server pg99"),
        ('tests = "contract"', 'tests = "all"', "no tests all"),
        ("postgresql", "mysql", "no system 'mysql'"),
    ],
)
def test_a_list_that_says_what_can_not_be_is_refused(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "cells.toml"
    path.write_text(LISTED.replace(old, new))
    with pytest.raises(ListError, match=told):
        cells(path)


def test_the_table_says_what_passed_what_failed_and_why_something_was_not_had() -> None:
    first, second, third, fourth, *_ = listed = cells()[:5]
    found = [
        Result(
            first.name,
            PASSED,
            versions={"PostgreSQL": "13.23", "Python": "3.11.7", "asyncpg": "0.31"},
            counts={"passed": 1024, "failed": 0, "skipped": 0},
            seconds=61.4,
            date="2026-11-29T18:00:00+00:00",
        ),
        Result(
            second.name,
            FAILED,
            counts={"passed": 1, "failed": 1, "skipped": 0},
            failures=["tests.a::test_b"],
            date="2026-11-30T18:00:00+00:00",
        ),
        Result(third.name, NOT_HAD, "npm: 404 | gone", date="2026-11-30T18:00:00+00:00"),
    ]
    page = written(listed, {each.name: each for each in found})
    rows = {line.split(" | ")[0]: line for line in page.splitlines() if line.startswith("| ")}
    assert "| PostgreSQL 13.23 |" in rows[f"| {first.name}"]
    assert "| passed | 1,024 | 0 | 0 | 61 |" in rows[f"| {first.name}"]
    assert f"- {second.name}, failed: `tests.a::test_b`" in page
    assert "not had: npm: 404 \\| gone" in rows[f"| {third.name}"]
    assert "not run yet" in rows[f"| {fourth.name}"]
    assert "Run from 2026-11-29 to 2026-11-30." in page


def test_the_page_in_the_documents_has_a_row_for_each_cell() -> None:
    page = (ROOT / "docs/matrix.md").read_text(encoding="utf-8")
    assert [cell.name for cell in cells() if f"\n| {cell.name} | " not in page] == []


@pytest.mark.parametrize(
    ("system", "version", "needed"),
    [("PostgreSQL", "12.22 (Debian 12.22-1)", "13"), ("Redis", "6.0.9", "6.2"), ("Redis", "5", "")],
)
def test_an_older_server_is_refused_with_its_version_and_the_needed_one(
    system: str, version: str, needed: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"here: {system} .* needs {needed}.*upgrade"):
        refuse_older(system, version, "here")


@pytest.mark.parametrize(
    ("system", "version"),
    [("PostgreSQL", "13"), ("PostgreSQL", "19beta1"), ("Redis", "6.2.0"), ("Redis", "unstable")],
)
def test_other_servers_are_let_through(system: str, version: str) -> None:
    refuse_older(system, version, "here")

"""What was found in a file is found again as long as nothing changed that it follows from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.kept_results import KeptResults, digest_of

if TYPE_CHECKING:
    from pathlib import Path


def kept(path: Path, *by: str) -> KeptResults:
    results = KeptResults(path, *by)
    results.of("old")
    results.add("new", [1])
    results.keep()
    return KeptResults(path, *by)


def test_what_was_used_or_added_is_there_for_the_next_run_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "kept.json"
    assert kept(path, "1").of("new") == [1]
    first = KeptResults(path, "1")
    first.add("other", {})
    first.keep()
    assert KeptResults(path, "1").of("other") == {}
    assert KeptResults(path, "1").of("new") is None


def test_another_version_of_the_tool_knows_nothing_nor_does_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    assert kept(path, "1").of("new") == [1]
    assert KeptResults(path, "2").of("new") is None
    path.write_bytes(path.read_bytes()[:-9])
    assert KeptResults(path, "1").of("new") is None


def test_what_is_used_is_no_file_that_nobody_needs_any_more(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    results = kept(path, "1")
    os.utime(path, (0, 0))
    results.of("new")
    results.keep()
    assert path.stat().st_mtime > 0


def test_a_digest_is_of_the_content_and_of_the_name_that_is_given(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for file in (one, two):
        file.write_text("same")
    assert digest_of(one) == digest_of(two)
    assert digest_of(one, "one\0") != digest_of(one, "two\0")
    two.write_text("other")
    assert digest_of(one) != digest_of(two)

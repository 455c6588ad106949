"""What of a project's links is in its copy, and what of them is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.agents.project.tree_copy import TreeCopy

if TYPE_CHECKING:
    from pathlib import Path


def _repository(place: Path) -> Path:
    """Write a repository with data that two projects share, and one of these; return that."""
    for name in ("repository/shared/cases/one.txt", "elsewhere/big.bin"):
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text(name)
    project = place / "repository/shop"
    (project / "tests").mkdir(parents=True)
    (place / "repository/shared/out").symlink_to(place / "elsewhere")
    (project / "tests/cases").symlink_to("../../shared")
    (project / "within").symlink_to("tests")
    (project / "big").symlink_to(place / "elsewhere")
    (project / "gone").symlink_to("../nowhere")
    (project / "up").symlink_to("..")
    return project


def test_links_to_directories_of_the_repository_are_copied_and_others_told(tmp_path: Path) -> None:
    project = _repository(tmp_path)
    copy = TreeCopy(project, tmp_path / "repository")
    copy.copy(project, tmp_path / "copy")

    cases = tmp_path / "copy/tests/cases"
    assert (cases / "cases/one.txt").read_text() == "repository/shared/cases/one.txt"
    # What is written there doesn't reach the user's files.
    assert not cases.is_symlink()
    assert (tmp_path / "copy/within").resolve() == tmp_path / "copy/tests"
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"tests", "within"}
    (note,) = copy.notes()
    for name in ("big -> ", "gone -> ../nowhere", "up -> ..", "tests/cases/out -> "):
        assert name in note


def test_without_a_repository_no_other_directory_is_copied(tmp_path: Path) -> None:
    project = _repository(tmp_path)
    copy = TreeCopy(project)
    copy.copy(project, tmp_path / "copy")
    assert "tests/cases -> ../../shared" in copy.notes()[0]
    assert not (tmp_path / "copy/tests/cases").exists()

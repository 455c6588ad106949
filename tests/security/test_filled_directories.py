"""A directory that reports go to: what is not ours stays, and no link leads a page elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.files import check_fillable, filling_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARKER = ".ours"


def fill(place: Path, files: Mapping[str, str]) -> None:
    with filling_directory(place, MARKER, lambda path: path.endswith(".page")) as target:
        (target / "in").mkdir()
        for name, text in files.items():
            (target / name).write_text(text)


def contents(place: Path) -> dict[str, str]:
    return {
        path.relative_to(place).as_posix(): path.read_text()
        for path in place.rglob("*")
        if path.is_file() and path.name != MARKER
    }


@pytest.mark.parametrize("is_there", [True, False])
def test_a_new_or_an_empty_directory_is_filled(tmp_path: Path, *, is_there: bool) -> None:
    place = tmp_path / "report"
    if is_there:
        place.mkdir()
    fill(place, {"index.html": "one", "in/a.page": "a"})
    assert contents(place) == {"index.html": "one", "in/a.page": "a"}


def test_a_later_report_replaces_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "report"
    fill(place, {"index.html": "one", "in/a.page": "a", "in/b.page": "b"})
    (place / "notes").write_text("mine")
    (place / "in" / "notes").write_text("mine")
    (place / "more").mkdir()
    (place / "more" / "c.page").write_text("mine")

    fill(place, {"index.html": "two", "in/b.page": "new"})

    assert contents(place) == {
        "index.html": "two",
        "in/b.page": "new",
        "notes": "mine",
        "in/notes": "mine",
        "more/c.page": "mine",
    }


def test_a_directory_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files, which are left alone"):
        fill(tmp_path, {"index.html": "one"})
    assert contents(tmp_path) == {"mine.txt": "mine"}


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_text("mine")
    with pytest.raises(NotADirectoryError, match="is no directory"):
        check_fillable(file, MARKER)
    with pytest.raises(NotADirectoryError):
        fill(file, {"index.html": "one"})
    assert file.read_text() == "mine"


def test_what_fails_midway_leaves_the_earlier_report_whole(tmp_path: Path) -> None:
    place = tmp_path / "report"
    fill(place, {"index.html": "one", "in/a.page": "a"})

    def broken() -> None:
        with filling_directory(place, MARKER, lambda _: True) as target:
            (target / "index.html").write_text("two")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert contents(place) == {"index.html": "one", "in/a.page": "a"}
    assert not list(place.glob("*.part"))


def test_links_that_somebody_put_there_lead_no_page_elsewhere(tmp_path: Path) -> None:
    victims = tmp_path / "victims"
    victims.mkdir()
    (victims / "a.page").write_text("precious")
    (victims / "index.html").write_text("precious")
    place = tmp_path / "report"
    fill(place, {"index.html": "one"})
    (place / "index.html").unlink()
    (place / "index.html").symlink_to(victims / "index.html")
    (place / "in").rmdir()
    (place / "in").symlink_to(victims)

    with pytest.raises(NotADirectoryError, match="is a link"):
        fill(place, {"index.html": "two", "in/b.page": "b"})
    (place / "in").unlink()
    fill(place, {"index.html": "two", "in/b.page": "b"})

    assert contents(victims) == {"a.page": "precious", "index.html": "precious"}
    assert (place / "index.html").read_text() == "two"


def test_a_report_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        fill(tmp_path / "report", {"index.html": "one"})
    finally:
        os.umask(before)
    assert (tmp_path / "report").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "report" / "index.html").stat().st_mode & 0o777 == 0o644

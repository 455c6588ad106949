"""A tree is turned back to its base without following links that the project has put there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.agents.project.diff import Change, Diff
from lionagi_qe.agents.type_check.agent import turn_back

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_written_or_deleted_through_links(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    tree.mkdir()
    (outside / "profile").write_text("mine\n")
    (outside / "kept.py").write_text("mine\n")
    (tree / "shop.py").symlink_to(outside / "profile")
    (tree / "new.py").symlink_to(outside / "profile")
    (tree / "src").symlink_to(outside, target_is_directory=True)
    changes = {
        "shop.py": Change(("price = 1",), ("price = 2",)),
        "new.py": Change(None, ("price = 2",)),
        "src/profile": Change(("evil = 1",), ("price = 2",)),
        "src/made/there.py": Change(("evil = 1",), None),
        "src/kept.py": Change(None, ("price = 2",)),
        "plain/gone.py": Change(("price = 1",), None),
    }

    turn_back(tree, Diff("main", "0" * 40, changes), keep=())

    assert (tree / "shop.py").read_text() == "price = 1\n"
    assert (tree / "plain" / "gone.py").read_text() == "price = 1\n"
    assert not (tree / "new.py").is_symlink()
    assert {path.name: path.read_text() for path in outside.iterdir()} == {
        "profile": "mine\n",
        "kept.py": "mine\n",
    }

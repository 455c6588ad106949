"""Source is shown as it was examined: from the tree while it is that, else from git, or not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import Findings
from lionagi_qe.fleet.examined_source import content_name, read_sources, source_names

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "one = 1\n", "two = 2\n"


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def names_of(root: Path, *files: str) -> dict[str, str]:
    measured = {file: {"ran": "", "missed": "", "missed_branches": []} for file in files}
    found = Findings("coverage-analyzer", (), {"measured_lines": measured})
    return source_names(root, {"coverage-analyzer": found})


def test_contents_have_the_names_that_git_gives_them(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text(OLD)
    assert git(tmp_path, "hash-object", "a.py") == content_name(OLD.encode())
    assert names_of(tmp_path, "a.py") == {"a.py": content_name(OLD.encode())}


def test_a_file_that_changed_since_is_taken_from_git(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for file in ("same.py", "changed.py", "gone.py"):
        (tmp_path / file).write_text(OLD + f"# {file}\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "all")
    names = names_of(tmp_path, "same.py", "changed.py", "gone.py")
    (tmp_path / "changed.py").write_text(NEW)
    (tmp_path / "gone.py").unlink()
    texts = read_sources(tmp_path, names)
    assert texts == {file: OLD + f"# {file}\n" for file in names}


def test_a_file_that_changed_where_no_git_is_has_no_text(tmp_path: Path) -> None:
    for file in ("same.py", "changed.py"):
        (tmp_path / file).write_text(OLD)
    names = names_of(tmp_path, "same.py", "changed.py")
    (tmp_path / "changed.py").write_text(NEW)
    assert read_sources(tmp_path, names) == {"same.py": OLD}
    assert read_sources(None, names) == {}


def test_files_outside_the_project_are_not_read(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (tmp_path / "secret").write_text(OLD)
    (root / "link.py").symlink_to(tmp_path / "secret")
    outside = ("../secret", str(tmp_path / "secret"), "link.py", "no\0name", "a" * 5000, ".")
    assert names_of(root, *outside) == {}
    assert read_sources(root, dict.fromkeys(outside, content_name(OLD.encode()))) == {}

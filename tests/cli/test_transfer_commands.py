"""``aqe memory copy|export|import|verify|watch`` as a user calls them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests import programs

if TYPE_CHECKING:
    from pathlib import Path


def aqe(*arguments: str, given: str = "") -> tuple[int, str, str]:
    """Call ``aqe memory`` in a process of its own; return exit code, output and complaints."""
    return programs.call(*programs.AQE, "memory", *arguments, given=given)


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    source, target = (f"sqlite:///{tmp_path / name}.db" for name in ("a", "b"))
    for at in range(3):
        assert aqe("set", f"aqe/n/{at}", str(at), "--memory", source)[0] == 0
    return source, target


def test_a_memory_is_copied_and_verified(urls: tuple[str, str], tmp_path: Path) -> None:
    source, target = urls
    assert aqe("copy", source, target, "--dry-run") == (
        0,
        "would store 3 of 3 entries (3 bytes of values), skipped 0, expired 0\n",
        "",
    )
    assert aqe("verify", source, target)[0] == 3, "asking what would be stored makes no memory"
    aqe("set", "aqe/other", "1", "--memory", target)
    code, said, _ = aqe("verify", source, target)
    assert (code, said.splitlines()[-1]) == (1, "different: 1 extra, 3 missing")
    aqe("rm", "aqe/other", "--memory", target)
    checkpoint = tmp_path / "checkpoint"
    assert aqe("copy", source, target, "--checkpoint", str(checkpoint)) == (
        0,
        "stored 3 of 3 entries (3 bytes of values), skipped 0, expired 0\n",
        "",
    )
    assert not checkpoint.exists()
    code, said, _ = aqe("verify", source, target)
    assert (code, said.splitlines()[-1]) == (0, "equal")
    aqe("set", "aqe/n/0", "7", "--memory", target)
    assert aqe("copy", source, target, "--on-conflict", "fail")[0] == 3
    facts = json.loads(aqe("verify", source, target, "--json")[1])
    assert (facts["equal"], facts["faults"]) == (False, {"value": 1})
    assert aqe("copy", source, target, "--to-fleet", "other", "--pattern", "aqe/n/1")[0] == 0
    assert aqe("ls", "--memory", target, "--fleet", "other")[1] == "aqe/n/1\n"


def test_a_memory_is_exported_and_imported(urls: tuple[str, str], tmp_path: Path) -> None:
    source, target = urls
    path = str(tmp_path / "memory.jsonl.gz")
    assert aqe("export", path, "--memory", source)[0] == 0
    code, said, complaint = aqe("import", path, "--memory", target)
    assert (code, said.split(" (")[0], complaint) == (0, "stored 3 of 3 entries", "")
    assert aqe("verify", source, target)[0] == 0
    (tmp_path / "broken.jsonl").write_text("{}\n")
    code, said, complaint = aqe("import", str(tmp_path / "broken.jsonl"), "--memory", target)
    assert (code, said, len(complaint.splitlines())) == (3, "", 1)
    assert "line 1 does not say" in complaint


def test_a_memory_goes_through_a_pipe(urls: tuple[str, str]) -> None:
    source, target = urls
    code, exported, told = aqe("export", "-", "--memory", source)
    assert (code, told) == (0, "-: 3 entries, 3 bytes of values\n")
    assert aqe("import", "-", "--memory", target, given=exported[:-20])[0] == 3
    assert aqe("import", "-", "--memory", target, given=exported)[0] == 0
    assert aqe("verify", source, target)[0] == 0
    code, _, complaint = aqe("import", "-", "--checkpoint", "c", "--memory", target)
    assert (code, "can't be read again" in complaint) == (2, True)


def test_changes_are_followed_from_a_cursor_on(urls: tuple[str, str]) -> None:
    source, _ = urls
    code, said, _ = aqe(
        "watch", "aqe/n/*", "--since", "start", "--count", "2", "--json", "--memory", source
    )
    changes = [json.loads(line) for line in said.splitlines()]
    assert (code, [change["key"] for change in changes]) == (0, ["aqe/n/0", "aqe/n/1"])
    aqe("rm", "aqe/n/1", "--memory", source)
    code, said, _ = aqe(
        "watch", "--since", changes[-1]["cursor"], "--count", "2", "--memory", source
    )
    assert [line.split()[0::2] for line in said.splitlines()] == [
        ["stored", "aqe/n/2"],
        ["deleted", "aqe/n/1"],
    ]
    code, _, complaint = aqe("watch", "--since", "nonsense", "--memory", source)
    assert (code, complaint.startswith("aqe: since 'nonsense'")) == (2, True)

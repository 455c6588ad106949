"""Failures that are one failure, in all that a run writes; names and messages of any text."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests import json_documents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]
    Write = Callable[..., Path]

pytestmark = pytest.mark.e2e

SHOP = """
    def price(article):
        raise ValueError(f"no price for {article}")
"""
TESTS = r"""
    import pytest
    import shop

    @pytest.mark.parametrize("article", ["a", "<script>alert(1)</script>", "\x1b[31m\u202e"])
    def test_price(article):
        shop.price(f"'{article}'")

    def test_hostile():
        raise RuntimeError("\x1b]0;title\x07<img src=x onerror=alert(2)>\n::error::x ##vso[x]")
"""
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202e]")


def commit(root: Path) -> str:
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "a change"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    head = ["git", "-C", root, "rev-parse", "HEAD"]
    return subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()


def test_what_failed_before_is_told_in_each_report_and_text_stays_text(
    aqe: Aqe, project: Write, tmp_path: Path
) -> None:
    root = project({"shop.py": SHOP, "test_shop.py": TESTS})
    agents = ("--agents", "test-executor,quality-gate")
    commit(root)
    assert aqe("run", root, *agents, "--json").value("failure_groups") == 2
    project({"shop.py": "def price(article): return 1"})
    mended = commit(root)
    assert aqe("run", root, *agents, "--json").value("failure_groups") == 1
    project({"shop.py": SHOP})
    commit(root)
    page, text = tmp_path / "page", tmp_path / "report.md"
    json_file = tmp_path / "run.json"
    written = (
        "--report",
        f"html={page}",
        "--report",
        f"md={text}",
        "--report",
        f"json={json_file}",
    )

    answer = aqe("run", root, *agents, *written)
    assert answer.exit_code == 1, answer.err

    html = (page / "index.html").read_text(encoding="utf-8")
    markdown = text.read_text(encoding="utf-8")
    lines = answer.out.splitlines()
    assert re.search(r"^ +at shop\.py:\d in price: raise ValueError", answer.out, re.MULTILINE)
    told_as_json = json_file.read_text(encoding="utf-8")
    groups = json.loads(told_as_json)["failure_groups"]
    assert not json_documents.faults_of("run", json.loads(told_as_json))
    assert groups[0]["before"]["gone"]["commit"] == mended
    assert not UNSEEN.search(told_as_json)
    for told in (answer.out, html, markdown):
        assert f"with one commit between: {mended[:10]}" in told
        assert not UNSEEN.search(told)
    assert sum(line.startswith("failed ") for line in lines) == 4
    assert "failures  2 kinds" in answer.out
    assert not any(line.startswith("::") for line in lines)
    assert "3 tests that fail alike: ValueError: no price" in html
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert not re.search(r"(?<!\\)<(img|script)", markdown)
    assert "and 2 more that fail alike" in markdown

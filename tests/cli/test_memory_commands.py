"""``aqe memory`` and ``aqe doctor`` as a user calls them: output, one-line errors, exit codes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tests import programs

from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'memory.db'}"


def aqe(
    *arguments: str, url: str | None = None, given: str = "", cwd: Path | None = None
) -> tuple[int, str, str]:
    """Call the command in a process of its own; return exit code, output and complaints."""
    env = {} if url is None else {"LIONAGI_QE_MEMORY": url}
    return programs.call(*programs.AQE, *arguments, given=given, env=env, cwd=cwd)


def test_entries_are_set_listed_shown_found_counted_and_removed(url: str) -> None:
    assert aqe("memory", "set", "aqe/a/1", '{"n": [1, 2.5, null]}', url=url)[0] == 0
    assert aqe("memory", "set", "aqe/a/2", "plain", "--text", "--ttl", "60", url=url)[0] == 0
    assert aqe("memory", "set", "aqe/b", "-", "--partition", "p", url=url, given="[1]")[0] == 0
    assert aqe("memory", "ls", url=url) == (0, "aqe/a/1\naqe/a/2\naqe/b\n", "")
    assert aqe("memory", "ls", "aqe/a/", url=url)[1] == "aqe/a/1\naqe/a/2\n"
    assert aqe("memory", "ls", "--partition", "p", url=url)[1] == "aqe/b\n"
    assert json.loads(aqe("memory", "get", "aqe/a/1", url=url)[1]) == {"n": [1, 2.5, None]}
    assert aqe("memory", "search", "aqe/*/2", url=url)[1] == 'aqe/a/2\t"plain"\n'
    stats = json.loads(aqe("memory", "stats", "--json", url=url)[1])
    assert (stats["total_keys"], stats["partitions"]) == (3, {"default": 2, "p": 1})
    assert aqe("memory", "rm", "aqe/a/1", "aqe/a/2", url=url) == (0, "removed 2 of 2\n", "")
    assert aqe("memory", "clear", "p", url=url)[:2] == (0, "removed 1\n")
    assert aqe("memory", "ls", url=url) == (0, "", "")


def test_machines_get_everything_that_is_known_of_an_entry(url: str) -> None:
    aqe("memory", "set", "aqe/a", "7", "--ttl", "60", url=url)
    entry = json.loads(aqe("memory", "get", "aqe/a", "--json", url=url)[1])
    assert (entry["key"], entry["value"], entry["partition"]) == ("aqe/a", 7, "default")
    assert entry["expires_at"] > entry["updated_at"]
    assert json.loads(aqe("memory", "ls", "--json", url=url)[1])[0]["revision"] == entry["revision"]
    assert "aqe/a" in aqe("memory", "ls", "--long", url=url)[1]


def test_compare_and_set_is_refused_when_another_came_first(url: str) -> None:
    assert aqe("memory", "set", "aqe/a", "1", "--if-revision", "0", url=url)[0] == 0
    code, _, complaint = aqe("memory", "set", "aqe/a", "2", "--if-revision", "0", url=url)
    assert code == 1
    assert "expected no entry" in complaint


def test_fleets_are_apart(url: str) -> None:
    aqe("memory", "set", "aqe/a", "1", "--fleet", "team-a", url=url)
    aqe("memory", "set", "aqe/b", "1", url=url)
    assert aqe("memory", "get", "aqe/a", url=url)[0] == 1
    assert aqe("memory", "get", "aqe/a", "--fleet", "team-a", url=url)[:2] == (0, "1\n")


def test_the_option_goes_before_the_environment(url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    aqe("memory", "set", "aqe/a", "1", "--memory", other, url=url)
    assert aqe("memory", "ls", url=url)[0] == 3
    assert aqe("memory", "ls", "--memory", other, url=url)[1] == "aqe/a\n"


def test_a_missing_key_is_exit_code_one(url: str) -> None:
    aqe("memory", "set", "aqe/a", "1", url=url)
    code, output, complaint = aqe("memory", "get", "aqe/missing", url=url)
    assert (code, output) == (1, "")
    assert "aqe/missing: no such entry" in complaint
    assert aqe("memory", "rm", "aqe/missing", url=url)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["memory", "get", "bad"], 2, "start with 'aqe/'"),
        (["memory", "set", "aqe/a", "nonsense"], 2, "no JSON"),
        (["memory", "set", "aqe/a", "NaN"], 2, "not JSON"),
        (["memory", "set", "aqe/a", "1", "--ttl", "-1"], 2, "ttl"),
        (["memory", "search", "aqe/[a"], 2, "pattern"),
        (["memory", "ls", "--fleet", "a b"], 2, "fleet"),
        (["memory", "ls", "--memory", "mysql://host"], 2, "no backend"),
        (["memory", "ls", "--memory", "redis://127.0.0.1:1"], 3, "reachable"),
        (["memory", "ls", "--memory", "postgresql://u:secret@127.0.0.1:1/db"], 3, "reachable"),
        (["memory", "ls", "--memory", "postgresql://h:5432,h:no/db"], 2, "port is no number"),
        (["memory", "ls", "--memory", "postgresql://[::1]:65536/db"], 2, "port is no number"),
        (["memory", "ls", "--memory", "postgresql://h/db?sslmode=bogus"], 2, "mend the URL"),
        (["doctor", "redis://host/notanumber"], 2, "no number"),
        (["memory", "frobnicate"], 2, "frobnicate"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(
    arguments: list[str], code: int, words: str, url: str
) -> None:
    aqe("memory", "set", "aqe/there", "1", url=url)
    found, output, complaint = aqe(*arguments, url=url)
    assert (found, output) == (code, "")
    assert words in complaint
    assert len(complaint.splitlines()) == 1
    assert "secret" not in complaint
    assert "Traceback" not in complaint


def test_a_file_that_can_not_be_used_is_told(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a database, just notes\n" * 100)
    code, _, complaint = aqe("doctor", f"sqlite:///{notes}")
    assert code in {2, 3}
    assert "notes.txt" in complaint
    assert len(complaint.splitlines()) == 1


def test_the_doctor_shows_schema_and_durability(url: str) -> None:
    code, output, _ = aqe("doctor", url)
    assert code == 0
    assert "0001_entries" in output
    assert "checksums match" in output
    assert "synchronous=FULL" in output
    assert output.endswith("fit for use\n")
    facts = json.loads(aqe("doctor", url, "--json")[1])
    assert facts["schema_version"] >= 1
    assert facts["advice"] == []


def test_the_doctor_only_looks_when_told_so(tmp_path: Path) -> None:
    code, _, complaint = aqe("doctor", f"sqlite:///{tmp_path / 'new.db'}", "--no-migrate")
    assert code == 3
    assert "migrat" in complaint
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_makes_no_memory_in_whatever_directory_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, output, complaint = aqe("doctor")
    assert (code, output) == (3, "")
    assert "there is no memory of the project in" in complaint
    assert list(tmp_path.iterdir()) == []
    assert aqe("doctor", url="sqlite:///.lionagi-qe/memory.db")[0] == 0, "it was asked for"
    assert aqe("doctor")[0] == 0


def test_a_memory_is_named_by_its_file_or_a_projects_directory_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    assert aqe("doctor", url="sqlite:///fleet.db")[0] == 0
    assert "as sqlite:///fleet.db here" in aqe("doctor", "shop")[2]
    assert aqe("doctor", "fleet.db")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["memory", "ls"],
        ["memory", "get", "aqe/a"],
        ["memory", "search", "aqe/*"],
        ["memory", "stats"],
        ["memory", "rm", "aqe/a"],
        ["memory", "clear", "default"],
        ["memory", "export", "export.jsonl"],
        ["queue", "ls"],
        ["queue", "stats", "q"],
        ["queue", "dead", "q"],
        ["queue", "retry", "q", "--all"],
        ["learn", "show"],
        ["learn", "export"],
        ["learn", "report"],
        ["learn", "reset", "agent", "--yes"],
    ],
    ids=" ".join,
)
def test_whoever_only_looks_makes_neither_a_memory_nor_a_fleet(
    arguments: list[str], url: str, tmp_path: Path
) -> None:
    code, output, complaint = aqe(*arguments, url=url)
    assert (code, output) == (3, "")
    assert "no such file; check the name, or open it with migrate=True once" in complaint
    assert list(tmp_path.iterdir()) == []
    aqe("memory", "set", "aqe/a", "1", "--fleet", "one", url=url)
    code, output, complaint = aqe(*arguments, "--fleet", "typo", url=url)
    assert (code, output) == (3, "")
    assert "no fleet 'typo'" in complaint


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["memory", "watch"], 3),
        (["memory", "set", "bad/key", "1"], 2),
        (["memory", "set", "aqe/a", "1", "--ttl", "-1"], 2),
        (["memory", "set", "aqe/a", "1", "--if-revision", "4"], 1),
        (["memory", "import", "export.jsonl", "--dry-run"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused_or_only_tried_makes_no_memory(
    arguments: list[str], code: int, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = f"sqlite:///{tmp_path / 'source.db'}"
    aqe("memory", "set", "aqe/a", "1", "--memory", other)
    aqe("memory", "export", "export.jsonl", "--memory", other)
    assert aqe(*arguments, url=url)[0] == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.jsonl", "source.db"]


def test_jobs_that_stay_behind_are_told_of(url: str, tmp_path: Path) -> None:
    async def put() -> None:
        async with open_memory(url) as memory:
            await WorkQueue(memory, "reviews").put(1)

    asyncio.run(put())
    target = f"sqlite:///{tmp_path / 'target.db'}"
    for arguments in (["copy", url, target], ["export", "-", "--memory", url]):
        code, _, told = aqe("memory", *arguments)
        assert code == 0
        assert "jobs are not among it: let workers finish those of reviews" in told


def test_a_comparison_and_a_copy_make_no_source(url: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'target.db'}"
    aqe("memory", "set", "aqe/a", "1", url=url)
    for arguments in (["verify", url, target], ["verify", target, url], ["copy", target, url]):
        code, _, complaint = aqe("memory", *arguments)
        assert code == 3
        assert "target.db: there is no such file" in complaint
        assert not (tmp_path / "target.db").exists()
    assert aqe("memory", "copy", url, target)[0] == 0


@pytest.mark.integration
@pytest.mark.redis
def test_the_doctor_tells_what_a_crash_of_redis_may_take(redis_url: str) -> None:
    code, output, _ = aqe("doctor", redis_url)
    assert code == 0
    assert "crash" in output
    assert "appendfsync" in output


@pytest.mark.integration
@pytest.mark.postgres
def test_the_doctor_examines_postgresql(postgres_url: str) -> None:
    code, output, _ = aqe("doctor", postgres_url)
    assert code == 0
    assert "every acknowledged write survives a crash" in output


def test_an_index_with_vectors_is_recalled_by_a_function_that_is_named_else_by_words(
    url: str, tmp_path: Path
) -> None:
    module = tmp_path / "vectors.py"
    module.write_text("def sizes(texts):\n    return [[float(len(text)), 1.0] for text in texts]\n")

    async def declare() -> None:
        async with open_memory(url) as memory:
            await memory.store("aqe/notes/one", "a note")
            await memory.index(
                "sizes",
                "aqe/notes/*",
                embed=lambda texts: [[4.0, 1.0] for _ in texts],
                dims=2,
                model="of=sizes",
            )
            await memory.refresh_index("sizes")

    asyncio.run(declare())
    words = ("memory", "recall", "note", "--index", "sizes")
    code, output, complaint = aqe(*words, url=url)
    assert (code, output.split("\t")[0]) == (0, "aqe/notes/one")
    assert "searched by words alone, in what is indexed" in complaint
    assert "meaning" not in output
    code, output, complaint = aqe(
        *words, "--embed", "of=sizes=vectors:sizes", url=url, cwd=tmp_path
    )
    assert (code, complaint) == (0, "")
    assert "meaning: rank 1" in output
    embed = ("--embed", "of=sizes=vectors:sizes")
    code, output, _ = aqe("memory", "reindex", "sizes", *embed, url=url, cwd=tmp_path)
    assert (code, output) == (0, "sizes: made anew\n")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("sizes", "write NAME=package.module:function"),
        ("a=nothing.there:f", "ModuleNotFoundError: No module named 'nothing'"),
        ("a=json:nothing", "AttributeError: module 'json' has no attribute 'nothing'"),
        ("a=json:__name__", "is no function"),
    ],
)
def test_a_function_that_is_none_is_told_in_one_line(url: str, given: str, told: str) -> None:
    code, _, complaint = aqe("memory", "recall", "x", "--index", "i", "--embed", given, url=url)
    assert code == 2
    assert told in complaint
    assert complaint.count("\n") == 1


def test_entries_are_recalled_by_what_they_say(url: str) -> None:
    async def declare() -> None:
        async with open_memory(url) as memory:
            await memory.index("notes", "aqe/notes/*", "$.text", fields=["kind"])

    asyncio.run(declare())
    aqe("memory", "set", "aqe/notes/1", '{"text": "a flaky login"}', url=url)
    aqe("memory", "set", "aqe/notes/2", '{"text": "rounding of sums"}', url=url)
    assert aqe("memory", "indexes", url=url) == (0, "notes\t$.text of aqe/notes/*\n", "")
    code, output, _ = aqe("memory", "recall", "the LOGIN", "--index", "notes", url=url)
    assert code == 0
    assert output.startswith("aqe/notes/1\twords login: rank 1 (")
    (found,) = json.loads(aqe("memory", "recall", "sums", "--index", "notes", "--json", url=url)[1])
    assert (found["key"], found["value"], found["stale"]) == (
        "aqe/notes/2",
        {"text": "rounding of sums"},
        False,
    )
    assert json.loads(aqe("memory", "indexes", "--json", url=url)[1])[0]["fields"] == ["kind"]
    assert aqe("memory", "recall", "nothing", "--index", "notes", url=url)[0] == 1
    assert aqe("memory", "reindex", "notes", url=url) == (0, "notes: made anew\n", "")
    code, _, complaint = aqe("memory", "recall", "x", "--index", "other", url=url)
    assert code != 0
    assert "index 'other': not declared" in complaint


def test_help_lists_every_command_and_teaches() -> None:
    _, output, _ = aqe("--help")
    for name in ("run", "memory", "doctor", "learn"):
        assert name in output
    _, output, _ = aqe("memory", "--help")
    assert "PATTERN" in output

"""What needs no server: choosing a backend by URL, settings, errors, the private memory."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import lionagi_qe
from lionagi_qe import (
    Memory,
    PostgresMemory,
    RedisMemory,
    RevisionConflictError,
    SqliteMemory,
    errors,
    open_memory,
)
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from pathlib import Path


class TestChoosing:
    @pytest.mark.parametrize(
        ("url", "kind", "name"),
        [
            ("memory://", SqliteMemory, "sqlite"),
            ("sqlite:///file.db", SqliteMemory, "sqlite"),
            ("sqlite:////tmp/file.db?synchronous=normal", SqliteMemory, "sqlite"),
            ("postgresql://user:secret@host/db", PostgresMemory, "postgresql"),
            ("postgres://host/db?schema=mine&pool_size=3", PostgresMemory, "postgresql"),
            ("redis://host:6379/3", RedisMemory, "redis"),
            ("rediss://user:secret@host", RedisMemory, "redis"),
            ("redis+cluster://host:7000", RedisMemory, "redis"),
        ],
    )
    async def test_the_urls_scheme_names_the_backend(
        self, url: str, kind: type[Memory], name: str
    ) -> None:
        memory = open_memory(url, fleet="a-team")
        assert isinstance(memory, kind)
        assert memory.capabilities.name == name
        assert memory.fleet == "a-team"
        await memory.close()

    @pytest.mark.parametrize(
        "url", ["mysql://host/db", "file.db", "http://host", "sqlite", "://", "redis"]
    )
    def test_an_unknown_scheme_is_told_with_those_that_are_known(self, url: str) -> None:
        with pytest.raises(errors.UnknownSchemeError, match="postgresql://") as caught:
            open_memory(url)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, ValueError)

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("sqlite://file.db", "sqlite:///"),
            ("sqlite:///", "no file"),
            ("sqlite:///file.db?synchronous=off", "synchronous"),
            ("sqlite:///file.db?journal=wal", "journal"),
            ("memory://name", "memory://"),
            ("postgresql://host/db?pool_size=many", "pool_size"),
            ("redis://host/0?pool_size=many", "can't be read"),
            ("redis://host/0?shards=0", "shards"),
            ("redis://host/notanumber", "database"),
            ("redis+cluster://host/3", "database 0"),
            ("postgresql://[::1/db", "can't be read"),
            ("memory://?default_ttl=0", "default_ttl"),
            ("redis://host/0?default_ttl=soon", "default_ttl"),
            ("postgresql://host/db?default_ttl=-1&schema=s", "default_ttl"),
        ],
    )
    def test_a_url_that_makes_no_sense_is_told_before_anything_is_opened(
        self, url: str, words: str
    ) -> None:
        with pytest.raises((errors.ConfigurationError, errors.InvalidArgumentError), match=words):
            open_memory(url)

    async def test_without_a_url_the_environment_names_it_else_a_file_here(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("LIONAGI_QE_MEMORY", raising=False)
        async with open_memory() as memory:
            await memory.store("aqe/a", 1)
        assert (tmp_path / ".lionagi-qe" / "memory.db").exists()
        monkeypatch.setenv("LIONAGI_QE_MEMORY", "sqlite:///other.db")
        async with open_memory() as memory:
            assert await memory.retrieve("aqe/a") is None
        assert (tmp_path / "other.db").exists()

    @pytest.mark.parametrize(
        "url",
        [
            "memory://?default_ttl=1.5",
            "sqlite:///file.db?default_ttl=1.5&synchronous=normal",
            "postgresql://host/db?schema=mine&default_ttl=1.5",
            "redis://host/0?default_ttl=1.5",
            "redis+cluster://host:7000?shards=2&default_ttl=1.5",
        ],
    )
    def test_a_url_may_set_the_default_ttl_and_a_setting_goes_before_it(self, url: str) -> None:
        assert open_memory(url).default_ttl == 1.5
        assert open_memory(url, default_ttl=60).default_ttl == 60
        assert open_memory("memory://").default_ttl is None

    def test_what_follows_a_default_ttl_is_not_told_for_it_may_be_a_password(self) -> None:
        with pytest.raises(errors.ConfigurationError) as caught:
            open_memory("redis://host/0?default_ttl=hunter2")
        assert "hunter2" not in str(caught.value)

    async def test_postgres_memory_takes_a_dsn_or_a_pool(self) -> None:
        with pytest.raises(errors.ConfigurationError, match="pool"):
            PostgresMemory()
        with pytest.raises(errors.ConfigurationError, match="pool"):
            PostgresMemory("postgresql://host/db", pool=object())

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://u:secret@h/db", "postgresql://u:***@h/db"),
            ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
            ("postgresql://h/db?password=secret&port=1", "postgresql://h/db?password=***&port=1"),
            ("redis://h/0", "redis://h/0"),
            ("sqlite:///a.db", "sqlite:///a.db"),
        ],
    )
    def test_passwords_are_never_shown(self, url: str, shown: str) -> None:
        assert redact(url) == shown

    @pytest.mark.parametrize(
        "secret",
        [
            "sec/ret",
            "12/ret",
            "sec?ret",
            "sec#ret",
            "s@ec/ret",
            "sec?ret=x",
            "[sec]ret",
            "sec\u2100ret",
            "sec/p?password=ret",
        ],
    )
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://u:{}@h:5432/db",
            "redis://:{}@h:6379/0",
            "redis+cluster://u:{}@h",
            "htp://u:{}@h/0",
        ],
    )
    def test_nor_are_those_that_break_a_url(self, url: str, secret: str) -> None:
        makers: list[Any] = [open_memory]
        makers += {"postgresql": [PostgresMemory], "redis": [RedisMemory.from_url]}.get(
            url.split(":", maxsplit=1)[0], []
        )
        for make in makers:
            with pytest.raises(errors.ConfigurationError) as caught:
                make(url.format(secret))
            assert "sec" not in str(caught.value)
            assert "ret" not in str(caught.value)
            assert "%2F" in str(caught.value)

    def test_nor_is_one_without_a_host(self) -> None:
        for url in ("postgresql://u:secret/abc", "redis://u:secret"):
            with pytest.raises(errors.ConfigurationError) as caught:
                open_memory(url)
            assert "secret" not in str(caught.value)
        with pytest.raises(errors.ConfigurationError) as caught:
            open_memory("sqlite://u:secret@h/x.db")
        assert "secret" not in str(caught.value)

    def test_an_at_sign_in_a_file_s_name_or_an_option_is_none_of_a_password(self) -> None:
        for url in ("sqlite:///a@b/c@d.db", "postgresql://u:p@h/db?application_name=a@b"):
            assert redact(url).endswith(url[-6:])
            open_memory(url)
        RedisMemory.from_url("unix:///tmp/a@b.sock")


class TestErrors:
    def test_every_error_has_the_one_root_and_is_public(self) -> None:
        for name in errors.__all__:
            kind = getattr(errors, name)
            assert issubclass(kind, errors.AqeError)
            assert getattr(lionagi_qe, name) is kind

    @pytest.mark.parametrize(
        ("kind", "builtin"),
        [
            (errors.InvalidKeyError, ValueError),
            (errors.InvalidValueError, ValueError),
            (errors.ValueTooLargeError, errors.InvalidValueError),
            (errors.BackendUnavailableError, ConnectionError),
            (errors.OutcomeUnknownError, errors.BackendUnavailableError),
            (errors.BackendTimeoutError, TimeoutError),
            (errors.SchemaMissingError, LookupError),
            (errors.ConfigurationError, ValueError),
        ],
    )
    def test_errors_are_the_built_in_ones_that_they_are(
        self, kind: type[Exception], builtin: type[Exception]
    ) -> None:
        assert issubclass(kind, builtin)

    @pytest.mark.parametrize("actual", [None, 7])
    def test_a_conflict_survives_pickling(self, actual: int | None) -> None:
        conflict = pickle.loads(  # noqa: S301 - our own bytes
            pickle.dumps(RevisionConflictError("aqe/a", 3, actual))
        )
        assert (conflict.key, conflict.expected, conflict.actual) == ("aqe/a", 3, actual)
        assert "aqe/a" in str(conflict)


class TestImport:
    def test_everything_public_is_there(self) -> None:
        for name in lionagi_qe.__all__:
            assert getattr(lionagi_qe, name) is not None
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = lionagi_qe.no_such_name

    def test_importing_is_light(self) -> None:
        """Drivers, agents and lionagi load when they are used."""
        code = (
            "import sys, lionagi_qe\n"
            "heavy = {'asyncpg', 'redis', 'apsw', 'lionagi', 'hypothesis', 'pytest', 'rich', "
            "'click', 'pydantic', 'faker'}\n"
            "print(sorted(heavy & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


class TestPrivateMemory:
    async def test_two_private_memories_share_nothing(self) -> None:
        async with open_memory("memory://") as one, open_memory("memory://") as other:
            await one.store("aqe/a", 1)
            assert await other.retrieve("aqe/a") is None

    async def test_a_memory_serves_many_coroutines_of_one_loop(self) -> None:
        async with open_memory("memory://") as memory:
            answers = await asyncio.gather(*(memory.increment("aqe/n") for _ in range(100)))
            assert answers == list(range(1, 101))

    def test_one_loop_after_another_needs_one_memory_each(self, tmp_path: Path) -> None:
        async def add() -> Any:
            async with open_memory(f"sqlite:///{tmp_path / 'a.db'}") as memory:
                return await memory.increment("aqe/n")

        # In threads of their own, since this thread's loop belongs to the other tests.
        assert [self._in_thread(add) for _ in range(3)] == [1, 2, 3]

    @staticmethod
    def _in_thread(work: Any) -> Any:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(work())).result()

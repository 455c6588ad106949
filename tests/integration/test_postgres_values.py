"""Values that are looked up together come as one text, or as rows where one can't hold them."""

from __future__ import annotations

import pytest

from lionagi_qe.persistence.memory import Memory
from lionagi_qe.persistence.postgres.backend import PostgresBackend
from lionagi_qe.persistence.postgres.connection import MAX_CONNECTIONS

pytestmark = [pytest.mark.integration, pytest.mark.postgres]

# Refused by the server as a text of more than 1 GiB is, and at once.
TOO_LONG = "SELECT repeat($2::text, 2147483647) WHERE $1::integer > 0"


@pytest.mark.parametrize("too_long", [False, True], ids=["one text", "rows"])
async def test_what_is_looked_up_together_comes_in_the_order_asked(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, *, too_long: bool
) -> None:
    backend = PostgresBackend(
        postgres_url, pool=None, schema="lionagi_qe", pool_size=MAX_CONNECTIONS
    )
    values = {f"aqe/v/{number}": {"number": number, "text": "\x01\x02 ü"} for number in range(40)}
    async with Memory(backend, fleet="values") as memory:
        await memory.store_many(values)
        await memory.store("aqe/v/null", None)
        if too_long:
            monkeypatch.setitem(backend.session.sql, "payloads", TOO_LONG)
        wanted = ["aqe/v/7", "aqe/v/missing", "aqe/v/null", *values]
        found = await memory.retrieve_many(dict.fromkeys(wanted))
        assert list(found.items())[:2] == [("aqe/v/7", values["aqe/v/7"]), ("aqe/v/null", None)]
        assert found == {**values, "aqe/v/null": None}
        await memory.clear_partition("default")

"""What signed-in people change: entries at a revision, jobs and leases once more asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web.forms import form_key, hidden
from tests.web.seeding import PASSWORD

from lionagi_qe.coordination import WorkQueue, held_leases
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    import httpx

    from lionagi_qe.persistence import Memory

SESSION = "aqe/sessions/7"


async def test_an_entry_is_stored_over_the_revision_that_was_seen(
    memory: Memory, editor: httpx.AsyncClient
) -> None:
    address = f"/entry?key={SESSION}"
    before = await memory.entry(SESSION)
    assert before is not None
    fields = hidden((await editor.get(address)).text)
    answer = await editor.post(address, data={**fields, "value": '{"user": "bob"}\r\n'})
    assert answer.status_code == 303
    after = await memory.entry(SESSION)
    assert after is not None
    assert (after.value, after.partition) == ({"user": "bob"}, "sessions")
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert abs((after.expires_at - before.expires_at).total_seconds()) < 5

    late = await editor.post(address, data={**fields, "value": '"mine"'})
    assert late.status_code == 409
    assert "nothing was stored" in late.text
    assert "&#34;mine&#34;" in late.text
    assert await memory.retrieve(SESSION) == {"user": "bob"}
    again = {**hidden(late.text), "value": '"mine"'}
    assert (await editor.post(address, data=again)).status_code == 303
    assert await memory.retrieve(SESSION) == "mine"


async def test_what_is_no_value_is_told_and_stays_in_the_form(
    memory: Memory, editor: httpx.AsyncClient
) -> None:
    address = f"/entry?key={SESSION}"
    fields = hidden((await editor.get(address)).text)
    for wrong in ("{broken", "NaN", "[" * 20_000):
        answer = await editor.post(address, data={**fields, "value": wrong})
        assert answer.status_code == 400
        assert wrong[:20] in answer.text
    assert await memory.retrieve(SESSION) == {"user": "ann"}


async def test_what_is_shown_without_its_secrets_is_not_edited_here(
    editor: httpx.AsyncClient,
) -> None:
    page = (await editor.get("/entry?key=aqe/settings/database")).text
    assert PASSWORD not in page
    assert "<textarea" not in page


async def test_an_entry_is_deleted_once_that_is_confirmed(
    memory: Memory, editor: httpx.AsyncClient
) -> None:
    address = f"/entry?key={SESSION}"
    fields = hidden((await editor.get(address)).text)
    asked = await editor.post(address, data={**fields, "act": "delete"})
    assert (asked.status_code, "Delete aqe/sessions/7?" in asked.text) == (200, True)
    assert await memory.exists(SESSION)
    await memory.store(SESSION, "newer")
    assert (await editor.post(address, data=hidden(asked.text))).status_code == 409
    assert await memory.exists(SESSION)
    fields = hidden((await editor.get(address)).text)
    asked = await editor.post(address, data={**fields, "act": "delete"})
    assert (await editor.post(address, data=hidden(asked.text))).status_code == 303
    assert not await memory.exists(SESSION)


async def test_jobs_are_retried_at_once_and_purged_or_cancelled_when_confirmed(
    memory: Memory, editor: httpx.AsyncClient
) -> None:
    queue, address = WorkQueue(memory, "reviews"), "/queue?name=reviews"
    key = {"form_key": await form_key(editor)}
    newest, middle, oldest = [job.id for job in reversed(await queue.dead())]

    async def state(job_id: str) -> str | None:
        status = await queue.status(job_id)
        return None if status is None else status.state

    assert (await editor.post(address, data={**key, "act": "retry", "id": oldest})).is_redirect
    assert await state(oldest) == "ready"
    asked = await editor.post(address, data={**key, "act": "purge", "id": middle})
    assert "Purge 1 job?" in asked.text
    assert await state(middle) == "dead"
    confirmed = {**hidden(asked.text), "id": middle}
    assert (await editor.post(address, data=confirmed)).is_redirect
    assert await state(middle) is None
    asked = await editor.post(address, data={**key, "act": "purge all"})
    assert "Purge 1 job?" in asked.text
    assert (await editor.post(address, data=hidden(asked.text))).is_redirect
    assert await state(newest) is None
    asked = await editor.post(address, data={**key, "act": "cancel", "id": oldest})
    assert await state(oldest) == "ready"
    assert (await editor.post(address, data=hidden(asked.text))).is_redirect
    assert await state(oldest) == "cancelled"
    for act in ("cancel all", "explode", ""):
        assert (await editor.post(address, data={**key, "act": act})).status_code == 400
    assert (await queue.stats()).ready == 60


async def test_a_lease_is_ended_once_that_is_confirmed(
    memory: Memory, editor: httpx.AsyncClient
) -> None:
    key = {"form_key": await form_key(editor)}
    # Of a holder that was stopped, and doesn't learn of it.
    await parts_of(memory).leases.acquire("stuck", "stopped#1", 60_000)
    asked = await editor.post("/leases", data={**key, "name": "stuck"})
    assert "End the lease stuck?" in asked.text
    assert "stuck" in [lease.name for lease in await held_leases(memory)]
    assert (await editor.post("/leases", data=hidden(asked.text))).is_redirect
    assert "stuck" not in [lease.name for lease in await held_leases(memory)]

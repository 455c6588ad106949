"""Who may look and who may change; each refusal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.web.conftest import ORIGIN, client_of
from tests.web.forms import form_key
from tests.web.served import TOKEN

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.web import app, forms, signing_in

if TYPE_CHECKING:
    import httpx

    from lionagi_qe.persistence import Memory

KEY = "aqe/plans/v00"
CHANGE = f"/entry?key={KEY}"


async def delete(client: httpx.AsyncClient, memory: Memory, **headers: str) -> int:
    """Delete an entry by its form; return the status."""
    entry = await memory.entry(KEY)
    assert entry is not None
    data = {"act": "delete", "confirmed": "yes", "revision": str(entry.revision)}
    if "form_key" in headers:
        data["form_key"] = headers.pop("form_key")
    answer = await client.post(CHANGE, data=data, headers=headers)
    assert await memory.exists(KEY) == (answer.status_code != 303)
    return answer.status_code


async def test_a_console_that_only_shows_refuses_every_change(memory: Memory) -> None:
    for settings in ({}, {"token": TOKEN}):
        async with client_of(memory, **settings) as client:
            await client.post("/login", data={"token": TOKEN})
            for address in (CHANGE, "/queue?name=reviews", "/leases"):
                answer = await client.post(address, data={"act": "delete"})
                assert (answer.status_code, "only shows" in answer.text) == (403, True)
            assert "<textarea" not in (await client.get(CHANGE)).text


async def test_a_change_needs_a_session_and_a_form_of_it_and_comes_from_our_page(
    memory: Memory, editor: httpx.AsyncClient
) -> None:
    own = await form_key(editor)
    async with client_of(memory, token=TOKEN, write=True) as other:
        assert await delete(other, memory, form_key=own) == 403
        await other.post("/login", data={"token": TOKEN})
        assert await delete(other, memory, form_key=own) == 403
    assert await delete(editor, memory) == 403
    assert await delete(editor, memory, form_key="") == 403
    assert await delete(editor, memory, form_key="0" * 64) == 403
    for origin in (
        "http://evil.test",
        "null",
        "https://console.test",
        f"{ORIGIN}.evil",
        "http://[",
    ):
        expected = 303 if origin.partition("://")[2] == "console.test" else 403
        if expected == 403:
            assert await delete(editor, memory, form_key=own, origin=origin) == 403, origin
    del editor.headers["origin"]
    assert await delete(editor, memory, form_key=own) == 403
    assert await delete(editor, memory, form_key=own, **{"sec-fetch-site": "cross-site"}) == 403
    assert await delete(editor, memory, form_key=own, **{"sec-fetch-site": "same-origin"}) == 303


async def test_forms_pass_a_proxy_that_hands_on_a_host_without_its_port(
    editor: httpx.AsyncClient, memory: Memory
) -> None:
    own = await form_key(editor)
    for site, expected in (("same-site", 403), ("cross-site", 403), ("same-origin", 303)):
        told = {"origin": "https://console.test:8443", "sec-fetch-site": site}
        assert await delete(editor, memory, form_key=own, **told) == expected, site


async def test_sessions_are_those_that_were_given_and_last(
    memory: Memory, editor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((name, value),) = editor.cookies.items()
    key = await form_key(editor)
    body, _, signature = value.rpartition(".")
    late = f"{int(time.time()) + 10**9}.{body.partition('.')[2]}.{signature}"
    editor.cookies.clear()
    for forged in ("", "x", ".", f"{body}.", f"{body}.{'0' * 64}", late, f"{value}0"):
        assert await delete(editor, memory, form_key=key, cookie=f"{name}={forged}") == 403, forged
    editor.cookies.set(name, value)
    then = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: then)
    assert await delete(editor, memory, form_key=key) == 403


async def test_the_cookie_is_for_this_console_alone_and_no_script_reads_it(memory: Memory) -> None:
    async with client_of(memory, token=TOKEN, write=True) as client:
        answer = await client.post("/login", data={"token": TOKEN})
        cookie = answer.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/", "max-age"))
        assert TOKEN not in cookie
        away = await client.post("/logout")
        assert "max-age=0" in away.headers["set-cookie"].lower()
        assert await delete(client, memory) == 403
    async with client_of(memory, token=TOKEN + "2") as another:
        other = await another.post("/login", data={"token": TOKEN + "2"})
        name = cookie.split("=", maxsplit=1)[0]
        assert other.headers["set-cookie"].split("=", maxsplit=1)[0] != name


async def test_a_wrong_token_signs_nobody_in(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_in, "_WRONG_TOKEN_SECONDS", 0)
    async with client_of(memory, token=TOKEN, write=True) as client:
        for token in ("", TOKEN[:-1], TOKEN + "x", "ü" * 20):
            answer = await client.post("/login", data={"token": token})
            assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        foreign = {"origin": "http://evil.test"}
        answer = await client.post("/login", data={"token": TOKEN}, headers=foreign)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


async def test_a_form_that_is_too_large_is_refused_before_it_is_read(
    memory: Memory, editor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await form_key(editor)
    monkeypatch.setattr(forms, "_MOST_BYTES", 1_000)
    data = {"form_key": key, "revision": "1", "value": "x" * 2_000}
    assert (await editor.post(CHANGE, data=data)).status_code == 413
    many = "&".join(f"id={at}" for at in range(100))
    monkeypatch.setattr(forms, "_MOST_FIELDS", 50)
    assert (await editor.post(CHANGE, content=many.encode())).status_code == 400
    assert await memory.exists(KEY)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("console.test", 200),
        ("CONSOLE.test:8077", 200),
        ("evil.test", 421),
        ("console.test.evil.test", 421),
        ("[::1]:8077", 200),
        ("[::2]", 421),
        ("[", 421),
        ("", 421),
    ],
)
async def test_only_its_own_names_are_answered(memory: Memory, host: str, status: int) -> None:
    async with client_of(memory, hosts=["console.test", "::1"]) as client:
        for address in ("/", "/healthz", "/static/console.js", "/nosuch"):
            answer = await client.get(address, headers={"host": host})
            assert (answer.status_code == 421) == (status == 421), address


async def test_every_answer_tells_browsers_to_run_nothing_but_our_files(
    client: httpx.AsyncClient,
) -> None:
    for address in ("/", "/entry", "/nosuch", "/static/console.css", "/metrics"):
        headers = (await client.get(address)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert (await client.get("/")).headers["cache-control"] == "no-store"


async def test_a_private_console_shows_nothing_but_its_health_without_signing_in(
    memory: Memory,
) -> None:
    async with client_of(memory, token=TOKEN, private=True) as client:
        for address in (
            "/",
            "/entry?key=aqe/plans/v00",
            "/changes",
            "/news",
            "/metrics",
            "/figures",
        ):
            answer = await client.get(address)
            assert (answer.status_code, answer.headers["location"]) == (303, "/login"), address
        assert (await client.get("/nosuch")).text == "Not found.\n"
        assert (await client.get("/healthz")).status_code == 200
        await client.post("/login", data={"token": TOKEN})
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    "settings", [{"token": "short"}, {"write": True}, {"private": True}, {"token": ""}]
)
async def test_what_would_protect_nothing_is_refused(
    memory: Memory, settings: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match="token"):
        app(memory, **settings)

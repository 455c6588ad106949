"""TLS is verified, by name too; a server that speaks otherwise than it is spoken to says so."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trustme
from tests.security.tls_front import TlsFront, write_all

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.postgres.hosts import READ_BYTES
from lionagi_qe.persistence.postgres.options import take_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.integration
AUTHORITY = trustme.CA()
STRANGER = trustme.CA()
GOOD = AUTHORITY.issue_cert("localhost", "127.0.0.1")
OTHER_NAME = AUTHORITY.issue_cert("elsewhere.example")
# As much as an opening may take where all is well; what is told at once comes well before.
PATIENCE = 30.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_all(AUTHORITY, AUTHORITY.issue_cert("client@example.org"), folder)
    return folder


@pytest.fixture(params=["postgres", "redis"])
def plain_url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{request.param}_url")


def by_tls(url: str, port: int, host: str = "localhost", **options: Any) -> str:
    """Return the URL of a server by the port of a TlsFront, with these options."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    scheme = "rediss" if parts.scheme == "redis" else parts.scheme
    words = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{scheme}://{login}{'@' if login else ''}{host}:{port}{parts.path}?{words}"


def trusting(url: str, files: Path) -> dict[str, Any]:
    """Return the options by which clients trust the authority."""
    if url.startswith("postgres"):
        return {"sslmode": "verify-full", "sslrootcert": files / "ca.pem"}
    return {"ssl_ca_certs": files / "ca.pem"}


def certified(url: str, files: Path) -> dict[str, Any]:
    """Return the options by which clients show their certificate."""
    cert, key = (
        ("sslcert", "sslkey") if url.startswith("postgres") else ("ssl_certfile", "ssl_keyfile")
    )
    return {cert: files / "cert.pem", key: files / "key.pem"}


async def works(url: str) -> None:
    async with open_memory(url, fleet=f"tls-{uuid.uuid4().hex[:12]}", timeout=PATIENCE) as memory:
        await memory.store("aqe/a", 1)
        assert await memory.retrieve("aqe/a") == 1
        await memory.delete("aqe/a")


async def refused(url: str, complaint: str) -> None:
    began = time.monotonic()
    with pytest.raises(errors.ConfigurationError, match=complaint):
        await open_memory(url, timeout=PATIENCE).open()
    # A ratio, not a time: it was not waited for.
    assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_server_with_a_certificate_of_a_known_authority_is_used(
    plain_url: str, files: Path, host: str
) -> None:
    async with TlsFront(plain_url, GOOD) as front:
        await works(by_tls(plain_url, front.port, host, **trusting(plain_url, files)))


async def test_a_certificate_for_another_name_is_refused(plain_url: str, files: Path) -> None:
    async with TlsFront(plain_url, OTHER_NAME) as front:
        url = by_tls(plain_url, front.port, **trusting(plain_url, files))
        await refused(url, r"certificate is not accepted \(.*localhost")


async def test_a_certificate_of_an_unknown_authority_is_refused(
    plain_url: str, files: Path
) -> None:
    async with TlsFront(plain_url, STRANGER.issue_cert("localhost")) as front:
        url = by_tls(plain_url, front.port, **trusting(plain_url, files))
        await refused(url, "certificate is not accepted")


async def test_redis_is_verified_by_default(redis_url: str) -> None:
    async with TlsFront(redis_url, GOOD) as front:
        await refused(by_tls(redis_url, front.port), "certificate is not accepted")
        await refused(
            by_tls(redis_url, front.port).replace("rediss:", "rediss+cluster:"),
            "certificate is not accepted",
        )
        await works(by_tls(redis_url, front.port, ssl_cert_reqs="none"))


async def test_the_systems_authorities_are_asked_for_by_name(postgres_url: str) -> None:
    async with TlsFront(postgres_url, GOOD) as front:
        await refused(
            by_tls(postgres_url, front.port, sslrootcert="system"), "certificate is not accepted"
        )
        await refused(by_tls(postgres_url, front.port, sslmode="verify-full"), "sslrootcert=system")


async def test_a_channel_to_be_bound_is_to_a_verified_server(
    postgres_url: str, files: Path
) -> None:
    # As providers write it; sslmode=require alone would verify nothing.
    asked = {"sslmode": "require", "channel_binding": "require"}
    trusted = {**asked, "sslrootcert": files / "ca.pem"}
    async with TlsFront(postgres_url, GOOD) as front:
        await works(by_tls(postgres_url, front.port, **trusted))
        await refused(by_tls(postgres_url, front.port, **asked), "certificate is not accepted")
    async with TlsFront(postgres_url, OTHER_NAME) as front:
        await refused(by_tls(postgres_url, front.port, **trusted), "certificate is not accepted")


async def test_clients_show_their_certificate(plain_url: str, files: Path) -> None:
    async with TlsFront(plain_url, GOOD, clients=AUTHORITY) as front:
        trusted = trusting(plain_url, files)
        url = by_tls(plain_url, front.port, **trusted, **certified(plain_url, files))
        await works(url)
        with pytest.raises(errors.AqeError):
            await open_memory(by_tls(plain_url, front.port, **trusted), timeout=PATIENCE).open()


async def test_a_plain_server_says_that_it_speaks_no_tls(plain_url: str) -> None:
    port = urlsplit(plain_url).port
    assert port is not None
    options = {"sslmode": "require"} if plain_url.startswith("postgres") else {}
    await refused(by_tls(plain_url, port, **options), "speaks no TLS")
    if not options:
        cluster = by_tls(plain_url, port).replace("rediss:", "rediss+cluster:")
        await refused(cluster, "speaks no TLS")


async def test_a_server_that_is_silent_at_first_is_asked_whether_it_speaks_tls() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # As Redis does, which waits for the end of the line that a handshake seems to be.
        if await reader.read(6) == b"PING\r\n":
            writer.write(b"+PONG\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await refused(f"rediss://127.0.0.1:{port}/0", "speaks no TLS")
    finally:
        server.close()


async def test_a_cache_without_tls_is_told_in_the_log(
    redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The memory goes on without it, as without one that is away.
    told = asyncio.Event()
    monkeypatch.setattr(
        caplog.handler, "emit", lambda record: "no TLS" in record.getMessage() and told.set()
    )
    cache = by_tls(redis_url, urlsplit(redis_url).port or 0)
    async with open_memory("memory://", cache=cache) as memory:
        await memory.store("aqe/a", 1)
        await asyncio.wait_for(told.wait(), PATIENCE)
        assert await memory.retrieve("aqe/a") == 1


async def test_a_redis_by_tls_says_so_to_who_speaks_plainly(redis_url: str) -> None:
    async with TlsFront(redis_url, GOOD) as front:
        await refused(
            f"redis://localhost:{front.port}/0", "speaks TLS at this port; write rediss://"
        )
        await refused(f"redis://:pw@localhost:{front.port}/0", "write rediss://")
        await refused(f"redis+cluster://localhost:{front.port}", r"write rediss\+cluster://")
        await refused(
            f"redis+sentinel://localhost:{front.port}/mymaster/0", r"write rediss\+sentinel://"
        )


@pytest.mark.parametrize(
    "options",
    [
        "connect_timeout=10",
        "keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3",
        "tcp_user_timeout=10000",
        "channel_binding=prefer",
        "gssencmode=disable&sslcompression=0&sslsni=1",
        "target_session_attrs=read-write",
        "client_encoding=utf8",
        "options=-c%20statement_timeout%3D30000%20-c%20my.own%3Dx",
        "statement_timeout=30000",
        "sslmode=prefer",
        "load_balance_hosts=disable",
    ],
)
async def test_options_that_providers_write_work(postgres_url: str, options: str) -> None:
    await works(f"{postgres_url}?{options}")


async def test_a_session_has_the_name_and_the_settings_of_the_url(postgres_url: str) -> None:
    url = (
        f"{postgres_url}?application_name=mine&options=-c%20my.own%3Dx"
        "&keepalives_idle=77&keepalives_count=5"
    )
    async with open_memory(url, fleet=f"tls-{uuid.uuid4().hex[:12]}") as memory:
        session: Any = parts_of(memory).backend
        async with session.session.connection() as connection:
            found = await connection.fetchrow(
                "SELECT current_setting('application_name'), current_setting('my.own')"
            )
            wire = connection._transport.get_extra_info("socket")
            assert tuple(found) == ("mine", "x")
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 5


@pytest.mark.parametrize("encrypted", [False, True])
async def test_answers_are_read_in_pieces_that_do_not_tear_the_heap(
    postgres_url: str, files: Path, encrypted: bool
) -> None:
    async with TlsFront(postgres_url, GOOD) as front:
        by_front = by_tls(postgres_url, front.port, **trusting(postgres_url, files))
        url = by_front if encrypted else postgres_url
        async with open_memory(url, fleet=f"tls-{uuid.uuid4().hex[:12]}") as memory:
            await memory.store("aqe/large", "x" * 300_000)
            session: Any = parts_of(memory).backend
            async with session.session.connection() as connection:
                transport = connection._transport
                reader = transport._ssl_protocol if encrypted else transport
                assert reader.max_size == READ_BYTES
            assert await memory.retrieve("aqe/large") == "x" * 300_000
            await memory.delete("aqe/large")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("channel_binding=maybe", "channel_binding: one of disable, prefer, require"),
        ("channel_binding=require&sslmode=disable", "channel_binding: needs TLS"),
        ("gssencmode=require", "gssencmode: .*GSSAPI"),
        ("require_auth=scram-sha-256", "require_auth: .* can't insist"),
        ("hostaddr=127.0.0.1", "hostaddr: write the address as the host"),
        ("ssl=true", "ssl: write sslmode=require"),
        ("pgbouncer=true", "pgbouncer: .* leave it out"),
        ("connect_timeout=soon", "connect_timeout: must be a whole number"),
        ("sslrootcert=/nowhere/ca.pem", "sslrootcert: there is no such file"),
        ("sslrootcert=system&sslmode=require", "goes with sslmode=verify-full only"),
        ("client_encoding=latin1", "client_encoding: texts go as UTF-8"),
    ],
)
def test_options_that_do_not_work_are_refused_before_anything_is_sent(
    options: str, complaint: str
) -> None:
    with pytest.raises(errors.ConfigurationError, match=complaint):
        open_memory(f"postgresql://u@h/db?{options}")


def test_a_timeout_for_each_host_is_at_least_that_of_libpq() -> None:
    assert take_options("postgresql://h/db?connect_timeout=1")[1].timeout == 2
    assert take_options("postgresql://h/db?connect_timeout=0")[1].timeout is None
    assert take_options("postgresql://h/db?connect_timeout=7")[1].timeout == 7


async def test_a_host_that_never_answers_is_given_up_after_the_connect_timeout() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer.transport):
            await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        url = f"postgresql://u@127.0.0.1:{port}/db?connect_timeout=2"
        began = time.monotonic()
        with pytest.raises(errors.BackendUnavailableError):
            await open_memory(url, timeout=PATIENCE).open()
        assert time.monotonic() - began < PATIENCE / 2
    finally:
        server.close()


async def test_a_server_for_tls_alone_says_what_to_write(
    own_postgres: Callable[..., Any],
) -> None:
    server = own_postgres(settings={"max_connections": "10"})
    rules = server._folder / "data" / "pg_hba.conf"
    rules.write_text(
        "host postgres postgres 127.0.0.1/32 scram-sha-256\nhostssl all all all trust\n"
    )
    server.execute("SELECT pg_reload_conf()")
    url = re.sub("/postgres$", "/template1", server.url)
    with pytest.raises(errors.AccessDeniedError, match=r"no encryption; it may want TLS"):
        await open_memory(f"{url}?sslmode=disable", timeout=PATIENCE).open()


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_not_there_is_told_at_once(option: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=f"{option}: there is no file /nowhere"):
        open_memory(f"rediss://h/0?{option}=/nowhere")


@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster"])
@pytest.mark.parametrize("value", ["CERT_REQUIRED", "Required", "0"])
def test_how_to_verify_is_one_of_three_words(scheme: str, value: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="ssl_cert_reqs: write required"):
        open_memory(f"{scheme}://h/0?ssl_cert_reqs={value}")

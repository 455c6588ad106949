"""Whoever stands between, or answers in a server's place, gets no login and changes nothing."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from tests.security.resp_server import RespServer
from tests.security.test_transport import (
    AUTHORITY,
    GOOD,
    OTHER_NAME,
    PATIENCE,
    by_tls,
    files,
    plain_url,
    refused,
    trusting,
)
from tests.security.tls_front import SSL_REQUEST, TlsFront

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence.redis.cluster import ClusterLink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["files", "plain_url"]

pytestmark = pytest.mark.integration
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
EXPIRED = AUTHORITY.issue_cert("localhost", not_before=NOW - 3 * DAY, not_after=NOW - DAY)
NOT_YET = AUTHORITY.issue_cert("localhost", not_before=NOW + DAY, not_after=NOW + 3 * DAY)
# Nobody's word but its own.
SELF_SIGNED = trustme.CA().issue_cert("localhost")
LOGIN = "Zq7-password"


@pytest.mark.parametrize("certificate", [EXPIRED, NOT_YET, SELF_SIGNED])
async def test_a_certificate_that_does_not_hold_today_is_refused(
    plain_url: str, files: Path, certificate: trustme.LeafCert
) -> None:
    async with TlsFront(plain_url, certificate) as front:
        url = by_tls(plain_url, front.port, **trusting(plain_url, files))
        await refused(url, "certificate is not accepted")
        if not plain_url.startswith("postgres"):
            await refused(url.replace("rediss:", "rediss+cluster:"), "certificate is not accepted")
        assert front.served == 0


async def test_each_connection_is_verified_not_the_first_alone(plain_url: str, files: Path) -> None:
    # Whoever takes a server's place later: connections of the pool, and those that listen.
    async with AsyncExitStack() as stack:
        async with TlsFront(plain_url, GOOD) as front:
            url = by_tls(plain_url, front.port, **trusting(plain_url, files))
            fleet = f"tls-{uuid.uuid4().hex[:12]}"
            memory = await stack.enter_async_context(open_memory(url, fleet=fleet, timeout=5))
            changes = await stack.enter_async_context(memory.watch("aqe/*"))
            await memory.store("aqe/a", 1)
            assert (await asyncio.wait_for(anext(changes), PATIENCE)).key == "aqe/a"
            assert front.served
        async with TlsFront(plain_url, OTHER_NAME, port=front.port) as other:
            listening = asyncio.ensure_future(anext(changes))
            for call in (memory.store("aqe/a", 2), memory.retrieve("aqe/a")):
                with pytest.raises(errors.AqeError):
                    await call
            assert other.served == 0
            listening.cancel()
            await asyncio.wait({listening})
    async with open_memory(plain_url, fleet=fleet) as memory:
        assert await memory.retrieve("aqe/a") == 1
        await memory.delete("aqe/a")


@pytest.mark.parametrize("answer", [b"N", b"S" + b"R\0\0\0\x08\0\0\0\0", b"E\0\0\0\x0bSFATAL\0\0"])
async def test_who_stands_before_postgresql_can_neither_refuse_tls_nor_speak_before_it(
    files: Path, answer: bytes
) -> None:
    # What comes in one piece with the answer would be read as if it were encrypted
    # (CVE-2021-23222); an error before it is anybody's (CVE-2024-10977).
    heard = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += await reader.readexactly(len(SSL_REQUEST))
        writer.write(answer)
        heard += await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        for mode in ("require", f"verify-full&sslrootcert={files / 'ca.pem'}"):
            url = f"postgresql://u:{LOGIN}@localhost:{port}/db?sslmode={mode}"
            with pytest.raises(errors.AqeError) as caught:
                await open_memory(url, timeout=5).open()
            assert "FATAL" not in str(caught.value)
    finally:
        server.close()
    # Again and again the question for TLS, and nothing else.
    assert heard.replace(SSL_REQUEST, b"") == b""


@pytest.fixture(params=["in clear", "another's certificate"])
def liar(request: pytest.FixtureRequest) -> Iterator[RespServer]:
    """Whom a server of ours that was talked into it names as its like."""
    return RespServer(None if request.param == "in clear" else OTHER_NAME)


async def test_who_is_named_by_a_cluster_is_verified_as_well(liar: RespServer, files: Path) -> None:
    async with RespServer(GOOD) as node, liar:
        own = b"*3\r\n$9\r\nlocalhost\r\n:%d\r\n$1\r\na\r\n" % node.port
        node.answers = {
            "COMMAND": b"*0\r\n",
            "CLUSTER SLOTS": b"*1\r\n*3\r\n:0\r\n:16383\r\n" + own,
            "GET": b"-MOVED 0 localhost:%d\r\n" % liar.port,
            "DEL": b"-ASK 0 localhost:%d\r\n" % liar.port,
        }
        settings = {"host": "localhost", "port": node.port, "password": LOGIN, "ssl": True}
        link = ClusterLink({**settings, "ssl_ca_certs": str(files / "ca.pem")}, pool_size=2)
        await link.open()
        try:
            for word in ("GET", "DEL"):
                with pytest.raises(errors.AqeError):
                    await asyncio.wait_for(link.command("a", word, "a", mutates=True), PATIENCE)
        finally:
            await link.close()
        assert LOGIN.encode() in node.heard
        assert LOGIN.encode() not in liar.heard
        assert b"GET" not in liar.heard


async def test_a_cluster_that_names_no_host_means_its_own(files: Path) -> None:
    async with RespServer(GOOD) as node:
        own = b"*3\r\n$9\r\nlocalhost\r\n:%d\r\n$1\r\na\r\n" % node.port
        node.answers = {
            "COMMAND": b"*0\r\n",
            "CLUSTER SLOTS": b"*1\r\n*3\r\n:0\r\n:16383\r\n" + own,
            "GET": b"-ASK 0 :%d\r\n" % node.port,
            "ASKING": b"+OK\r\n",
        }
        link = ClusterLink(
            {"host": "localhost", "port": node.port, "ssl": True}
            | {"ssl_ca_certs": str(files / "ca.pem")},
            pool_size=2,
        )
        await link.open()
        try:
            # Sent from node to node, each time to this one, by the name that was verified.
            with pytest.raises(errors.BackendUnavailableError, match="from node to node"):
                await link.command("a", "GET", "a")
        finally:
            await link.close()


async def test_who_is_named_by_a_sentinel_is_verified_as_well(
    liar: RespServer, files: Path
) -> None:
    async with RespServer(GOOD) as sentinel, liar:
        told = b"*2\r\n$9\r\nlocalhost\r\n$%d\r\n%d\r\n"
        sentinel.answers = {"SENTINEL": told % (len(str(liar.port)), liar.port)}
        url = f"rediss+sentinel://:{LOGIN}@localhost:{sentinel.port}/mymaster/0"
        with pytest.raises(errors.AqeError):
            await open_memory(f"{url}?ssl_ca_certs={files / 'ca.pem'}", timeout=5).open()
        assert b"SENTINEL" in sentinel.heard
        assert LOGIN.encode() not in sentinel.heard + liar.heard


async def test_a_sentinel_is_verified_before_it_is_believed(liar: RespServer, files: Path) -> None:
    async with liar:
        url = f"rediss+sentinel://localhost:{liar.port}/mymaster/0?sentinel_password={LOGIN}"
        with pytest.raises(errors.AqeError):
            await open_memory(f"{url}&ssl_ca_certs={files / 'ca.pem'}", timeout=5).open()
        assert LOGIN.encode() not in liar.heard


@pytest.mark.parametrize("mode", ["", "sslmode=prefer&", "sslmode=allow&", "sslmode=disable&"])
@pytest.mark.parametrize(
    "option",
    ["sslrootcert={ca}", "sslcrl={ca}", "sslcert={ca}", "ssl_min_protocol_version=TLSv1.3"],
)
def test_options_of_tls_that_would_hold_for_nothing_are_refused(
    files: Path, mode: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://u@h/db?{mode}{option.format(ca=files / 'ca.pem')}"
    with pytest.raises(errors.ConfigurationError, match="in clear; write sslmode=verify-full"):
        open_memory(url)
    if not mode:
        monkeypatch.setenv("PGSSLMODE", "verify-full")
        open_memory(url)


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "redis+sentinel"])
@pytest.mark.parametrize("option", ["ssl_ca_certs={ca}", "ssl_cert_reqs=required"])
def test_options_of_tls_without_tls_are_refused(files: Path, scheme: str, option: str) -> None:
    path = "/mymaster/0" if scheme.endswith("sentinel") else ""
    url = f"{scheme}://h{path}?{option.format(ca=files / 'ca.pem')}"
    with pytest.raises(errors.ConfigurationError, match="in clear all the same; write rediss://"):
        open_memory(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/db?sslmode=verify-full&sslmode=disable",
        "rediss://h/0?ssl_cert_reqs=required&ssl_cert_reqs=none",
        "rediss+cluster://h?ssl_check_hostname=true&x=1&ssl_check_hostname=false",
        "redis+sentinel://h/m/0?sentinel_password=a&sentinel_password=b",
        "sqlite:///a.db?synchronous=full&synchronous=normal",
    ],
)
def test_an_option_that_is_there_twice_is_refused(url: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="is there twice"):
        open_memory(url)

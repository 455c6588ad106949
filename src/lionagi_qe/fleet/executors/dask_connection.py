"""A connection to a Dask scheduler, and what is installed at its workers."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from lionagi_qe import __version__
from lionagi_qe.agents.project.executor_choice import scheduler_address
from lionagi_qe.errors import BackendUnavailableError, ConfigurationError
from lionagi_qe.extras import DISTRIBUTION, needs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributed import Client

_CONNECT_SECONDS = 10.0
# Dask knows packages by what is installed, earlier releases by what is imported.
_PACKAGES = (DISTRIBUTION, "lionagi_qe")
# What a call to a scheduler that is gone ends by. CancelledError is that of futures, not asyncio's.
LOST = (OSError, TimeoutError, CancelledError)
_TLS = (
    "name the CA, certificate and key as Dask does: DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT, DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"
)


async def connected(chosen: str) -> Client:
    """Return a client of the scheduler at an address; see ``DaskExecutor.connect``."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"executor {chosen}: {needs('distributed')}") from error

    client: Any = None
    try:
        client = Client(
            scheduler_address(chosen),
            asynchronous=True,
            set_as_default=False,
            # Workers of a cluster are often out of reach from outside; the scheduler is not.
            direct_to_workers=False,
            timeout=_CONNECT_SECONDS,
        )
        try:
            async with asyncio.timeout(_CONNECT_SECONDS * 2):
                return await client
        except BaseException:
            # Else it closes itself at the interpreter's end, and complains of that.
            await client.close(timeout=1)
            raise
    except TypeError as error:
        # What Dask raises for tls:// where nothing of TLS is set.
        if "ssl_context" not in str(error):
            raise
        raise ConfigurationError(f"executor {chosen}: no certificate is set; {_TLS}") from error
    except LOST as error:
        said = " ".join(str(error.__cause__ or error).split())[:300]
        raise BackendUnavailableError(
            f"executor {chosen}: no Dask scheduler answers: {said or type(error).__name__}; is it "
            "started (dask scheduler), and is this its address?"
        ) from error


async def fitting(client: Any) -> dict[str, str | None]:  # noqa: ANN401 - Dask's, untyped where it is asynchronous
    """Return for each worker why it can't carry out our tasks; None where it can.

    Raises:
        ConfigurationError: the scheduler can't hand on our tasks.

    """
    versions = await client.get_versions(packages=[*_PACKAGES])
    here = versions["client"]["host"]
    unfit = _why_unfit(versions["scheduler"], here)
    if unfit is not None:
        raise ConfigurationError(f"the Dask scheduler: {unfit}")
    return {address: _why_unfit(told, here) for address, told in versions["workers"].items()}


def _why_unfit(told: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """Return what differs there so that figures, or bytecode, would be of another kind."""
    host = told["host"]
    ours = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    theirs = f"Python {'.'.join(str(host['python']).split('.')[:2])}"
    if theirs != ours:
        return f"runs {theirs}, and this is {ours}; use one of them at both"
    if host["OS"] != here["OS"]:
        return f"runs {host['OS']}, and this is {here['OS']}"
    version = next(filter(None, map(told["packages"].get, _PACKAGES)), None)
    if version is None:
        return (
            f"aqe is not installed there; pip install '{DISTRIBUTION}[fleet,dask]=={__version__}'"
        )
    if version != __version__:
        return f"has aqe {version}, and this is {__version__}; install one of them at both"
    return None

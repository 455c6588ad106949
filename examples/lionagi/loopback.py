"""A model for the examples: a server on loopback that answers by a script, without a network."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import tiktoken
import tiktoken.registry
from lionagi import iModel

from lionagi_qe.testing.openai_server import ChatServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.testing.openai_server import Reply


@contextmanager
def loopback_model(*replies: Reply) -> Iterator[iModel]:
    """Serve the replies in turn, over HTTP, to the model that this yields."""
    # LionAGI counts tokens with an encoding that it would download: each byte is a token here.
    tiktoken.registry.ENCODINGS["o200k_base"] = tiktoken.Encoding(
        "o200k_base",
        pat_str=r"[\s\S]+",
        mergeable_ranks={bytes([value]): value for value in range(256)},
        special_tokens={},
    )
    with ChatServer(replies) as server:
        yield iModel(
            provider="openai",
            model="scripted",
            base_url=server.url,
            api_key="dummy-key-for-loopback",
            allow_local_network=True,
            requires_tokens=False,
        )

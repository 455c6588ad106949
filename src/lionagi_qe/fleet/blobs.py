"""Large texts and files in the memory: cut into entries, named by their content, kept for a day."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

from lionagi_qe.errors import AqeError

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

PREFIX = "aqe/blobs"
TTL_SECONDS = 24 * 3600.0
# Well below the largest value that memories take, and small enough for one message on any network.
CHUNK_BYTES = 1024 * 1024
# Whoever fetches a blob holds all of it.
MAX_BLOB_BYTES = 1024**3
_MAX_CHUNKS = MAX_BLOB_BYTES // CHUNK_BYTES
_CHUNK_CHARACTERS = -(-CHUNK_BYTES // 3) * 4


class Blobs:
    """Blobs of one memory; who has a blob's name can fetch it.

    Args:
        memory: where they lie; both sides use the same fleet.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def put(self, content: bytes) -> str:
        """Store a content under the name that is returned; what is there already is kept longer.

        Costs a write for each MiB, or as many touches.

        Raises:
            AqeError: it is larger than a blob may be.

        """
        if len(content) > MAX_BLOB_BYTES:
            raise AqeError(
                f"{len(content):,} bytes are too many for workers, which take {MAX_BLOB_BYTES:,}; "
                "leave large files out of the project, or run without workers"
            )
        name = hashlib.sha256(content).hexdigest()
        starts = range(0, max(len(content), 1), CHUNK_BYTES)
        if await self._keep(name, len(starts)):
            return name
        for number, start in enumerate(starts):
            chunk = base64.b64encode(content[start : start + CHUNK_BYTES]).decode()
            await self._memory.store(_chunk(name, number), chunk, ttl=TTL_SECONDS)
        # Last, so that a blob that is known is whole.
        await self._memory.store(_index(name), len(starts), ttl=TTL_SECONDS)
        return name

    async def get(self, name: str) -> bytes:
        """Return a content.

        Raises:
            AqeError: it is not there (any more), was changed, or is larger than a blob may be.

        """
        count = await self._memory.retrieve(_index(name))
        if count is not None and (type(count) is not int or not 0 < count <= _MAX_CHUNKS):
            raise AqeError(f"blob {name}: is none of a size that a blob may have")
        chunks: list[bytes] = []
        for number in range(count or 0):
            chunk = await self._memory.retrieve(_chunk(name, number))
            if chunk is None:
                break
            chunks.append(_decoded(name, chunk))
        if count is None or len(chunks) < count:
            raise AqeError(f"blob {name}: is not in the memory; blobs are kept for a day")
        content = b"".join(chunks)
        if hashlib.sha256(content).hexdigest() != name:
            raise AqeError(f"blob {name}: its content is not what its name says")
        return content

    async def _keep(self, name: str, chunks: int) -> bool:
        """Keep a blob for another day; return whether all of it is there."""
        if not await self._memory.exists(_index(name)):
            return False
        keys = [*(_chunk(name, number) for number in range(chunks)), _index(name)]
        return all(await asyncio.gather(*(self._memory.touch(key, TTL_SECONDS) for key in keys)))


def _decoded(name: str, chunk: object) -> bytes:
    if not isinstance(chunk, str) or len(chunk) > _CHUNK_CHARACTERS:
        raise AqeError(f"blob {name}: has a chunk that is none")
    try:
        return base64.b64decode(chunk, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AqeError(f"blob {name}: has a chunk that is none ({error})") from error


def _index(name: str) -> str:
    return f"{PREFIX}/{name}"


def _chunk(name: str, number: int) -> str:
    return f"{PREFIX}/{name}/{number:06d}"

"""Lines of an archive, plain or compressed, read within limits: whoever wrote it may mean ill."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import io
import os
import sys
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from lionagi_qe.errors import ArchiveError, ConfigurationError
from lionagi_qe.extras import needs

if TYPE_CHECKING:
    from collections.abc import Generator

# A path, or an open file of bytes.
File = str | os.PathLike[str] | IO[bytes]
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# The largest window that zstd itself writes without being asked twice.
_ZSTD_WINDOW = 2**27
# Below, a file is small whatever it expands to.
_EXPANSION_FROM = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may ask of whoever reads it.

    Attributes:
        line_bytes: the longest line, of one entry; by default what the target's
            ``max_value_bytes`` needs.
        expansion: how many times as large as the compressed file its text may be, once that is
            more than 64 MiB.
        entries: most entries; None for any number.
    """

    line_bytes: int | None = None
    expansion: int = 200
    entries: int | None = None


class Line(NamedTuple):
    """A line and where it stands: its number from 1, and the bytes of text before it."""

    text: bytes
    number: int
    start: int


@dataclass(slots=True)
class Lines:
    """The lines of an open archive, in order.

    Attributes:
        name: what errors call the file.
    """

    name: str
    line_bytes: int
    expansion: int
    _text: IO[bytes]
    _packed: _Counted | None
    _number: int = 0
    _bytes: int = 0

    async def take(self, count: int, size: int) -> list[Line]:
        """Return the next lines: up to ``count``, and none after ``size`` bytes; [] at the end.

        Raises ArchiveError if the file can't be read on, or goes beyond a limit.
        """
        try:
            return await asyncio.to_thread(self._take, count, size)
        except (EOFError, OSError, zlib.error, *_zstd_errors()) as error:
            msg = (
                f"{self.name}: can't be read to its end ({error}): cut short, damaged or not "
                f"compressed so; {self._bytes:,} bytes of text could be read"
            )
            raise ArchiveError(msg) from error

    def _take(self, count: int, size: int) -> list[Line]:
        lines: list[Line] = []
        end = self._bytes + size
        while len(lines) < count and self._bytes < end:
            text = self._text.readline(self.line_bytes + 1)
            if not text:
                break
            line = Line(text, self._number + 1, self._bytes)
            if len(text) > self.line_bytes:
                reason = (
                    f"is longer than {self.line_bytes:,} bytes, which is more than an entry needs; "
                    "if it is one, open the memory with a larger max_value_bytes"
                )
                raise bad(self.name, line, reason)
            self._number += 1
            self._bytes += len(text)
            lines.append(line)
            self._check_expansion(line)
        return lines

    def _check_expansion(self, line: Line) -> None:
        if self._packed is None or self._bytes <= _EXPANSION_FROM:
            return
        if self._bytes > self.expansion * self._packed.count:
            reason = (
                f"comes after {self._bytes:,} bytes of text from {self._packed.count:,} bytes of "
                f"the file, more than {self.expansion} times as much; if you trust it, raise the "
                "limit of its expansion"
            )
            raise bad(self.name, line, reason)


class _Counted(io.RawIOBase):
    """A file that counts what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - a writable buffer
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self.count += len(content)
        return len(content)


@contextmanager
def reading(path: File, line_bytes: int, expansion: int) -> Generator[Lines]:
    """Yield a file's lines; its first bytes tell if it is compressed, not its name."""
    with ExitStack() as stack:
        if isinstance(path, str | os.PathLike):
            plain = stack.enter_context(Path(path).open("rb"))
            # A pipe has no way back: looked at, not read.
            name, file, start = str(path), cast("IO[bytes]", plain), plain.peek(len(_ZSTD))
        else:
            name, file, start = "the stream", path, path.read(len(_ZSTD))
            file.seek(-len(start), io.SEEK_CUR)
        packed = None
        if start.startswith(_GZIP):
            packed = _Counted(file)
            file = cast("IO[bytes]", stack.enter_context(gzip.open(cast("IO[bytes]", packed))))
        elif start.startswith(_ZSTD):
            packed = _Counted(file)
            file = stack.enter_context(_unpacking_zstd(name, packed))
        yield Lines(name, line_bytes, expansion, file, packed)


def _unpacking_zstd(name: str, packed: _Counted) -> IO[bytes]:
    module = zstandard(name)
    unpacker = module.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return io.BufferedReader(unpacker.stream_reader(packed, read_across_frames=True, closefd=False))


def bad(name: str, line: Line, reason: str) -> ArchiveError:
    """Return the error of a line."""
    return ArchiveError(f"{name}: line {line.number} {reason} (byte {line.start:,} of the text)")


def zstandard(name: str) -> Any:  # noqa: ANN401 - a module without types
    """Return the module that reads and writes .zst; ConfigurationError if it is not installed."""
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        msg = f"{name}: .zst {needs('zstandard')}; or use .gz"
        raise ConfigurationError(msg) from error


def _zstd_errors() -> tuple[type[Exception], ...]:
    module = sys.modules.get("zstandard")
    return () if module is None else (module.ZstdError,)

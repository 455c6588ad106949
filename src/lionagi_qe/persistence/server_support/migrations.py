"""Versioned, checksummed schema migrations, read from a backend's ``sql`` folder.

A file is ``NNNN_name.sql``. Once released it never changes: its checksum is kept with the schema,
and a schema that was made from other text is refused.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from lionagi_qe.errors import MemoryMissingError, SchemaError, SchemaMissingError, SchemaTooNewError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BRING_UP = "open it with migrate=True once, as aqe doctor URL does"
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True)
class Migration:
    """One step of a schema; ``checksum`` is the SHA-256 of its text."""

    version: int
    name: str
    sql: str

    @functools.cached_property
    def checksum(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@functools.cache
def load_migrations(package: str) -> tuple[Migration, ...]:
    """Return the migrations in ``package``/sql, oldest first; they are read once."""
    found: list[Migration] = []
    for file in resources.files(package).joinpath("sql").iterdir():
        matched = _FILE.fullmatch(file.name)
        if matched:
            found.append(Migration(int(matched[1]), matched[2], file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


def missing_migrations(
    known: Sequence[Migration], applied: Mapping[int, str], *, migrate: bool, where: str
) -> list[Migration]:
    """Return those of ``known`` that ``applied`` {version: checksum} lacks, oldest first.

    Raises:
        SchemaTooNewError: the schema holds a version that this package doesn't know.
        SchemaError: a version was applied from other text than this package's.
        SchemaMissingError: some are missing and ``migrate`` is False.

    """
    newest = known[-1].version
    ahead = max(applied, default=0)
    if ahead > newest:
        msg = (
            f"the schema has version {ahead}, this aqe-fleet knows up to {newest}; "
            "upgrade the package"
        )
        raise SchemaTooNewError(msg)
    for migration in known:
        checksum = applied.get(migration.version)
        if checksum is not None and checksum != migration.checksum:
            msg = (
                f"migration {migration.version:04} ({migration.name}) was applied from other text "
                "than this package's; restore the schema or move the data to a fresh one"
            )
            raise SchemaError(msg)
    missing = [migration for migration in known if migration.version not in applied]
    if not applied and not migrate:
        raise not_there(where, "memory")
    if missing and not migrate:
        names = ", ".join(f"{migration.version:04}" for migration in missing)
        msg = f"{where}: the schema lacks migration {names}; {_BRING_UP}"
        raise SchemaMissingError(msg)
    return missing


def not_there(where: str, what: str) -> MemoryMissingError:
    """Return the error of a memory or fleet that isn't there, where none may be made."""
    return MemoryMissingError(
        f"{where}: there is no {what}; check the name, or {_BRING_UP}",
    )


def shown_migrations(package: str, applied: Mapping[int, str]) -> str:
    """Return the migrations of a schema that was opened, and so checked, for people to read."""
    names = [f"{step.version:04}_{step.name}" for step in load_migrations(package)]
    return f"{', '.join(names[: len(applied)])} (checksums match)"

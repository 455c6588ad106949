"""What one shard hands over to ``aqe merge``: a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.execution.matrix import DIVISION
from lionagi_qe.errors import InvalidArgumentError, InvalidValueError
from lionagi_qe.fleet import serialization

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = 1
_KIND = "a shard's result of aqe"
# Fields that are no part of the file as they are.
_APART = ("file", "findings")


@dataclass(frozen=True, slots=True)
class ShardResult:
    """The result of one shard.

    Attributes:
        file: that it was read from, or is written to.
        part: which shard, from 1.
        of: how many there are.
        by: what the division kept together: ``file`` or ``test``.
        project: the name under which the run is kept.
        commit: of the project, if under git.
        tree: see ``tree_of``.
        python: the version that the tests ran in.
        durations: by which they were divided, for people.
        known: of how many tests these durations are.
        mapped: it was measured which test ran which line.
        at: when the shard began, ISO 8601 in UTC.
        findings: of its tests.
    """

    file: str
    part: int
    of: int
    by: str
    project: str
    commit: str | None
    tree: str
    python: str
    durations: str
    known: int
    mapped: bool
    at: str
    findings: Findings

    @property
    def name(self) -> str:
        """It, for people, as 2/5."""
        return f"{self.part}/{self.of}"

    @property
    def division(self) -> dict[str, Any] | None:
        """See ``inject/aqe_shard``; None if its pytest did not come so far."""
        return self.findings.details[DIVISION]

    def as_bytes(self) -> bytes:
        """Return the file's content."""
        head = {each.name: getattr(self, each.name) for each in fields(self)}
        head = {name: value for name, value in head.items() if name not in _APART}
        packed = serialization.packed(self.findings)
        document = {"kind": _KIND, "schema": _SCHEMA, **head, "packed": packed}
        return json.dumps(document, indent=1).encode() + b"\n"


def read_result(file: Path) -> ShardResult:
    """Return the result in a file.

    Raises:
        InvalidArgumentError: it holds none, or one of another version of aqe.

    """
    document: Any
    try:
        document = json.loads(file.read_bytes())
    except ValueError:
        document = None
    except OSError as error:
        raise InvalidArgumentError(f"{file}: can't be read: {error.strerror}") from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise InvalidArgumentError(
            f"{file}: is no result of a shard; name the files that aqe run --shard 1/5 --report "
            "shard=FILE wrote"
        )
    head = {each.name for each in fields(ShardResult)} - {*_APART}
    if document.get("schema") != _SCHEMA or not head <= document.keys():
        raise InvalidArgumentError(
            f"{file}: was written by another version of aqe; use one version for all shards and "
            "for aqe merge"
        )
    try:
        findings = serialization.unpacked(document["packed"])
    except InvalidValueError as error:
        raise InvalidArgumentError(f"{file}: is damaged: {error}") from error
    if not isinstance(findings, Findings) or DIVISION not in findings.details:
        raise InvalidArgumentError(f"{file}: is damaged: it holds no findings of tests")
    return ShardResult(file=str(file), findings=findings, **{name: document[name] for name in head})

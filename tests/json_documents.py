"""Holds every JSON document that a test has a command print against its schema.

``prefork.call`` calls ``check`` for each command; fields that a schema doesn't know are faults.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from lionagi_qe.cli.documents import DOCUMENTS, schema_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# Commands that print the document of a run.
RUNS = frozenset({"flaky", "generate", "merge", "mutate", "repeat", "run", "select"})
GROUPS = frozenset({"cache", "learn", "memory", "queue"})
# One document a line.
LINES = frozenset({"memory-watch"})


def check(words: Sequence[str], output: bytes) -> None:
    """Check what a command printed, if it was asked for JSON and printed some.

    Raises:
        AssertionError: it is no document of that command.

    """
    name = name_of(words)
    if name is None or not output.strip():
        return
    texts = output.splitlines() if name in LINES else [output]
    for text in texts:
        faults = faults_of(name, json.loads(text))
        assert not faults, f"aqe {' '.join(words)}: {faults}"


def name_of(words: Sequence[str]) -> str | None:
    """Return the name of the document that a command prints; None if it prints none."""
    # A file is what aqe bench writes it to.
    if "--json" not in words or not words or words[0] == "bench" or "--help" in words:
        return None
    if words[0] == "select" and {"--select-time", "--confidence"} & {*words}:
        return "select-part"
    if words[0] in RUNS:
        return "run-all" if "--all" in words else "run"
    name = "-".join(words[:2]) if words[0] in GROUPS else words[0]
    if name == "queue-dead" and "--group" in words:
        return "queue-dead-group"
    return "learn-eval-parts" if name == "learn-eval" and "--confidence" in words else name


def faults_of(name: str, document: Any) -> list[str]:
    """Return what is wrong with a document, with the places."""
    return [
        f"{each.json_path}: {each.message[:300]}" for each in validator(name).iter_errors(document)
    ]


@functools.cache
def validator(name: str) -> Draft202012Validator:
    assert name in DOCUMENTS, f"aqe {name} --json has no schema: lionagi_qe.cli.documents"
    return Draft202012Validator(closed(schema_of(name)))


def closed(part: Any) -> Any:
    """Return a schema whose objects may have no other fields."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    inner = {key: closed(each) for key, each in part.items()}
    if part.get("type") == "object" and "properties" in part:
        inner.setdefault("additionalProperties", False)
    return inner

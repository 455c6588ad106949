"""The shapes of what commands print with ``--json``, and their JSON Schemas.

The commands make their documents themselves; tests hold every document that a test sees against
these shapes, and ``docs/schemas`` against the schemas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from lionagi_qe.cli.documents import capacity, memory, others, queue, run
from lionagi_qe.cli.documents.document import Json
from lionagi_qe.persistence.recall.declaration import Declaration

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DOCUMENTS", "schema_of"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# What a document is of -> its shape. Words of commands are joined by hyphens.
DOCUMENTS: Mapping[str, Any] = {
    "run": run.RunDocument,
    "run-all": run.RunsDocument,
    "ask": others.Answer,
    "bench": others.Benchmark,
    "bench-sweep": others.BenchmarkSweep,
    "cache-list": others.Cache,
    "cache-prune": others.PrunedCache,
    "capacity": capacity.Capacity,
    "doctor": others.Diagnosis,
    "durations": others.Durations,
    "gate": others.Judged,
    "history": others.History,
    "learn-eval": others.Evaluation,
    "learn-eval-parts": others.PartsEvaluation,
    "learn-report": dict[str, others.LearnedDecisions],
    "memory-get": memory.FoundEntry,
    "memory-grant": memory.Granted,
    "memory-grants": list[memory.Grant],
    "memory-indexes": list[Declaration],
    "memory-ls": list[memory.ListedEntry],
    "memory-recall": list[memory.RecalledEntry],
    "memory-rekey": memory.RekeyedMemory,
    "memory-search": dict[str, Json],
    "memory-stats": memory.Statistics,
    "memory-verify": memory.Verified,
    "memory-watch": memory.Change,
    "queue-batch": queue.Batch,
    "queue-batches": list[queue.Batch],
    "queue-dead": list[queue.Dead],
    "queue-dead-group": list[queue.DeadOfOneReason],
    "queue-limits": list[queue.Limit],
    "queue-ls": dict[str, queue.Counts],
    "queue-schedules": list[queue.PeriodicJob],
    "queue-show": queue.Job,
    "queue-stats": queue.Counts,
    "select-part": others.PartOfTests,
}


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a document; KeyError if there is none of that name."""
    schema = TypeAdapter(DOCUMENTS[name]).json_schema(mode="serialization")
    return {"$schema": _DIALECT, "title": f"aqe {name}", **_renamed(schema)}


def _renamed(part: Any) -> Any:  # noqa: ANN401 - JSON
    """Return it with the field ``schema``, a name that pydantic keeps for itself."""
    if isinstance(part, dict):
        return {
            ("schema" if key == "schema_" else key): _renamed(each) for key, each in part.items()
        }
    if isinstance(part, list):
        return ["schema" if each == "schema_" else _renamed(each) for each in part]
    return part

"""The document of ``aqe capacity``."""

from __future__ import annotations

from lionagi_qe.bench.capacity import Estimate, Load, Machine
from lionagi_qe.cli.documents.document import Shape


class Capacity(Shape):
    """What a load needs, computed from figures that were measured."""

    load: Load
    machine: Machine
    measured: str
    """When and on what the figures were measured that all this is computed from."""
    versions: dict[str, str]
    """Of the servers that they were measured on."""
    estimates: list[Estimate]

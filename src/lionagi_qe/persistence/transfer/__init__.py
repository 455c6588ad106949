"""Copies of memories: from one to another, to files and back, verified.

``copy`` and ``compare`` take any two memories, ``export`` and ``restore`` a memory and a file.
"""

from lionagi_qe.persistence.transfer.archive import export, restore
from lionagi_qe.persistence.transfer.archive_lines import File, Limits
from lionagi_qe.persistence.transfer.copying import Checkpoint, Policy, Tally, copy
from lionagi_qe.persistence.transfer.rekeying import Rekeyed, rekey
from lionagi_qe.persistence.transfer.verify import Comparison, Difference, Digest, compare, digest

__all__ = [
    "Checkpoint",
    "Comparison",
    "Difference",
    "Digest",
    "File",
    "Limits",
    "Policy",
    "Rekeyed",
    "Tally",
    "compare",
    "copy",
    "digest",
    "export",
    "rekey",
    "restore",
]

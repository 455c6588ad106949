"""Findings that are the same for every server: its clock, and who sealed what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.cli.diagnosis.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_SKEW_MS = 1000.0


def clock(skew_ms: float, error_ms: float) -> Iterator[Finding]:
    """Judge by how many ms the server's clock is ahead of ours, give or take an error."""
    if abs(skew_ms) - error_ms <= _SKEW_MS:
        return
    way = "ahead of" if skew_ms > 0 else "behind"
    yield Finding(
        "clock",
        "problem",
        f"the server's clock is {abs(skew_ms) / 1000:.1f} s {way} this machine's "
        f"(± {error_ms / 1000:.3f} s)",
        "expiry, leases and schedules go by the server's clock and still hold, but times that it "
        "told (expires_at, created_at) can't be compared with this machine's, in logs and traces "
        "neither",
        "Run NTP on both; see timedatectl or chronyc tracking for which of them is wrong",
    )


def encryption(sealed: Collection[str], clear: int, keys: Collection[str]) -> Iterator[Finding]:
    """Judge which keys some entries are sealed by, how many are in clear, and what keys we have."""
    named = ", ".join(repr(key) for key in sorted(sealed))
    unknown = sorted(set(sealed) - set(keys))
    if sealed and not keys:
        yield Finding(
            "encryption",
            "unfit",
            f"the memory is encrypted, by the key {named}, and no keys were given",
            "nothing can be read, and what is stored without keys is refused by who has them",
            "Name the variable that holds the keys: URL?keys=VARIABLE",
        )
    elif unknown:
        yield Finding(
            "encryption",
            "unfit",
            f"entries are sealed by the key {', '.join(map(repr, unknown))}, which is none of "
            f"{', '.join(map(repr, keys))}",
            "they can't be read",
            "Add that key behind the others",
        )
    if keys and clear:
        yield Finding(
            "encryption",
            "unfit",
            f"{clear} of the first entries are stored in clear",
            "with keys they are refused: somebody wrote them without",
            "Copy them from a memory without keys into one with keys: aqe memory copy",
        )

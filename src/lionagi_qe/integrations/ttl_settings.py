"""LangGraph's settings of how long what is stored lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.values.entry import check_ttl

if TYPE_CHECKING:
    from langgraph.store.base import TTLConfig

SECONDS_PER_MINUTE = 60
_KNOWN = ("default_ttl", "refresh_on_read", "sweep_interval_minutes")


def default_seconds(settings: TTLConfig | None) -> float | None:
    """Return the seconds of ``default_ttl``, which is in minutes; None for ever.

    Raises:
        InvalidArgumentError: the settings are none, whether anything is stored by them or not.

    """
    if settings is None:
        return None
    if not isinstance(settings, dict) or not settings.keys() <= {*_KNOWN}:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgumentError(f"ttl {settings!r}: give a dict of {', '.join(_KNOWN)}")
    for name in ("default_ttl", "sweep_interval_minutes"):
        minutes = settings.get(name)
        if minutes is not None:
            _check_minutes(name, minutes)
    default = settings.get("default_ttl")
    return None if default is None else default * SECONDS_PER_MINUTE


def _check_minutes(name: str, minutes: object) -> None:
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        raise InvalidArgumentError(f"ttl: {name} {minutes!r}: give a number of minutes, or None")
    check_ttl(minutes * SECONDS_PER_MINUTE, f"ttl: {name} of {minutes} minutes, in seconds:")

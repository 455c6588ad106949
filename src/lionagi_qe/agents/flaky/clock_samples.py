"""Moments at which code that reads the clock is likely to behave differently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_LEAP = 4


def moments(now: datetime) -> list[tuple[str, float]]:
    """Return moments for people and in seconds since 1970, the more telling first.

    They cover both halves of the day, night and evening, midnight, weekend and weekday, the turn
    of month and year, and 29 February; odd and even hours, minutes and seconds.
    """
    day = now.replace(microsecond=0)
    weekday = day + timedelta(days=(7 - day.weekday()) % 7)
    saturday = weekday + timedelta(days=5)
    leap = datetime(day.year + (_LEAP - day.year % _LEAP), 2, 29).astimezone(day.tzinfo)
    chosen = (
        weekday.replace(hour=3, minute=17, second=41),
        weekday.replace(hour=13, minute=44, second=8),
        weekday.replace(hour=21, minute=8, second=26),
        weekday.replace(hour=9, minute=30, second=15),
        day.replace(month=12, day=31, hour=23, minute=59, second=58),
        saturday.replace(hour=16, minute=25, second=33),
        leap.replace(hour=11, minute=2, second=19),
        weekday.replace(hour=0, minute=0, second=3),
        weekday.replace(hour=18, minute=51, second=50),
        weekday.replace(hour=6, minute=13, second=5),
    )
    return [(f"{moment:%a %Y-%m-%d %H:%M:%S}", moment.timestamp()) for moment in chosen]


def parse_moment(text: str) -> float:
    """Return the seconds since 1970 of an ISO 8601 time; without a zone it is this machine's."""
    return datetime.fromisoformat(text).timestamp()


def shown_moment(seconds: float) -> str:
    """Return a time as ``parse_moment`` reads it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

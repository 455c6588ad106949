"""When schedules are due, over a year of clocks that change, beside a plain reference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest

from lionagi_qe.coordination.cron import Cron
from lionagi_qe.coordination.schedules import Schedule, due_moments
from lionagi_qe.errors import InvalidArgumentError

# Clocks change at quarters of an hour, and the expressions name no other minutes.
STEP = timedelta(minutes=15)
ZONES = [
    ("Europe/Oslo", 2026),
    ("America/New_York", 2026),
    # By half an hour.
    ("Australia/Lord_Howe", 2026),
    # At midnight.
    ("Asia/Beirut", 2026),
    # A whole day was left out, beside the hours.
    ("Pacific/Apia", 2011),
]
EVERY = frozenset(range(60))
QUARTERS = frozenset({0, 15, 30, 45})
# Expression -> minutes, hours, and days as a test of a wall time.
EXPRESSIONS = {
    "0 3 * * *": ({0}, {3}, lambda _wall: True),
    "30 2 * * *": ({30}, {2}, lambda _wall: True),
    "0 0 * * *": ({0}, {0}, lambda _wall: True),
    "*/15 1-3 * * *": (QUARTERS, {1, 2, 3}, lambda _wall: True),
    "15,45 0,1,23 * * SUN": ({15, 45}, {0, 1, 23}, lambda wall: wall.isoweekday() == 7),
    "45 12 30 * *": ({45}, {12}, lambda wall: wall.day == 30),
    "0 2 L * *": ({0}, {2}, lambda wall: (wall + timedelta(days=1)).day == 1),
    "*/15 * * 3,4,9-12 *": (QUARTERS, EVERY, lambda wall: wall.month not in {1, 2, 5, 6, 7, 8}),
    "30 * * * *": ({30}, EVERY, lambda _wall: True),
    "0 */2 * * *": ({0}, frozenset(range(0, 24, 2)), lambda _wall: True),
    "0 * 15 3,10 *": ({0}, EVERY, lambda wall: wall.day == 15 and wall.month in {3, 10}),
}


@cache
def walked(zone: str, year: int) -> list[tuple[datetime, datetime, list[datetime]]]:
    """Walk through a year: moment, what the clock shows, and what is new or skipped in that."""
    local = ZoneInfo(zone)
    moment = datetime(year, 1, 1, tzinfo=UTC)
    latest = moment.astimezone(local).replace(tzinfo=None) - STEP
    found: list[tuple[datetime, datetime, list[datetime]]] = []
    while moment.year == year:
        wall = moment.astimezone(local).replace(tzinfo=None)
        new = [latest + STEP * at for at in range(1, (wall - latest) // STEP + 1)]
        found.append((moment, wall, new))
        latest = max(latest, wall)
        moment += STEP
    return found


@cache
def reference(expression: str, zone: str, year: int) -> list[datetime]:
    """Look at the clock every quarter of an hour."""
    minutes, hours, is_day = EXPRESSIONS[expression]
    every_hour = expression.split()[1].startswith("*")
    return [
        moment
        for moment, wall, new in walked(zone, year)
        if any(
            each.minute in minutes and each.hour in hours and is_day(each)
            for each in ([wall] if every_hour else new)
        )
    ]


@pytest.mark.parametrize(("zone", "year"), ZONES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_year_of_firings_is_that_of_a_plain_reference(
    expression: str, zone: str, year: int
) -> None:
    expected = reference(expression, zone, year)
    first = datetime(year, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
    last = datetime(year + 1, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
    cron = Cron(expression, zone)
    assert [*takewhile(lambda due: due <= last, cron.after(first))] == expected
    assert [*cron.between(first, last)] == expected[::-1]


@pytest.mark.parametrize(("zone", "year"), ZONES)
@pytest.mark.parametrize("expression", ["30 2 * * *", "*/15 1-3 * * *", "0 0 * * *", "30 * * * *"])
def test_wherever_one_begins_the_next_is_the_same(expression: str, zone: str, year: int) -> None:
    expected = reference(expression, zone, year)
    local = ZoneInfo(zone)
    moment = datetime(year, 1, 1, tzinfo=UTC)
    cron = Cron(expression, zone)
    while moment < expected[-1]:
        # The two days around each change of the clocks, in uneven steps.
        offsets = {(moment + timedelta(days=by)).astimezone(local).utcoffset() for by in (-1, 1)}
        if len(offsets) > 1:
            coming = next(due for due in expected if due > moment)
            assert next(cron.after(moment)) == coming
            passed = [due for due in expected if due <= moment]
            assert next(cron.between(expected[0], moment)) == passed[-1]
        moment += timedelta(minutes=97, seconds=13)


def test_seconds_stand_in_front() -> None:
    cron = Cron("*/20 59 23 31 12 *", "UTC")
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    last = datetime(2026, 12, 31, 23, 59, 40, tzinfo=UTC)
    due = [*takewhile(lambda due: due <= last, cron.after(begin))]
    assert due == [last - timedelta(seconds=40), last - timedelta(seconds=20), last]


@pytest.mark.parametrize(
    ("name", "expression"),
    [("@daily", "0 0 * * *"), ("@hourly", "0 * * * *"), (" @Weekly ", "0 0 * * 0")],
)
def test_a_name_means_an_expression(name: str, expression: str) -> None:
    begin = datetime(2026, 10, 24, tzinfo=UTC)
    for zone in ("Europe/Oslo", "Australia/Lord_Howe"):
        named, plain = (Cron(each, zone).after(begin) for each in (name, expression))
        assert [next(named) for _ in range(40)] == [next(plain) for _ in range(40)]


def test_a_leap_day_comes_every_four_years() -> None:
    due = next(Cron("0 12 29 2 *", "Europe/Oslo").after(datetime(2026, 1, 1, tzinfo=UTC)))
    assert due == datetime(2028, 2, 29, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "zone", "words"),
    [
        ("* * * *", "UTC", "five fields"),
        ("61 * * * *", "UTC", "minute"),
        ("0 0 31 2 *", "UTC", "day-of-month"),
        ("@fortnightly", "UTC", "@daily"),
        ("", "UTC", "non-empty"),
        ("0 3 * * *", "Mars/Olympus", "IANA"),
        ("0 3 * * *", "../../etc/passwd", "IANA"),
        ("0 3 * * *", "Europe", "IANA"),
    ],
)
def test_what_cannot_be_read_is_refused(expression: str, zone: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        Cron(expression, zone)


@pytest.mark.parametrize(
    ("missed", "late", "expected"),
    [
        ("skip", timedelta(seconds=5), [3]),
        ("skip", timedelta(seconds=90), []),
        ("once", timedelta(seconds=90), [3]),
        ("all", timedelta(seconds=90), [1, 2, 3]),
    ],
)
def test_what_becomes_of_missed_times_is_the_schedules_choice(
    missed: str, late: timedelta, expected: list[int]
) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = Schedule("hourly", "0 * * * *", "UTC", None, 0, missed, 5, begin)  # type: ignore[arg-type]
    found = due_moments(schedule, begin, begin + timedelta(hours=3) + late)
    assert found == [begin + timedelta(hours=at) for at in expected]


def test_of_very_many_missed_times_the_latest_hundred_are_made_up_for() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = Schedule("each", "* * * * *", "UTC", None, 0, "all", 5, begin)
    found = due_moments(schedule, begin, begin + timedelta(days=300))
    assert len(found) == 100
    assert found[-1] == begin + timedelta(days=300)
    assert found == sorted(found)

"""When a cron expression is due, in a time zone whose clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from heapq import heappop, heappush
from itertools import takewhile
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import Iterator

# More than any clock was ever put back by at once.
_LONGEST_CHANGE = timedelta(hours=3)
_SECOND = timedelta(seconds=1)
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Cron:
    """The moments at which a cron expression is due.

    An expression whose hours begin with ``*`` (``*/5 * * * *``) is due at equal distances: twice at
    times that the clocks show twice as they are put back, and not at those that they skip. Of any
    other (``30 2 * * *``) each time of day is one moment: of one that the clocks show twice the
    first; those that they skip are all the moment at which they skip them.

    Args:
        expression: five fields (minute, hour, day of month, month, day of week) or six with the
            seconds in front; as Debian's cron reads them, with L, LW and # for days. Or @hourly,
            @daily (@midnight), @weekly, @monthly, @yearly (@annually).
        timezone: an IANA name, as Europe/Oslo.

    Raises:
        InvalidArgumentError: one of them can't be read, or names no time that ever comes.

    """

    def __init__(self, expression: str, timezone: str) -> None:
        expression = check_name("cron", expression)
        expression = _NAMED.get(expression.strip().lower(), expression)
        self._expression = expression
        try:
            # UTC needs no database of zones, which small containers lack.
            named = check_name("timezone", timezone) != "UTC"
            self._zone: tzinfo = ZoneInfo(timezone) if named else UTC
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            msg = (
                f"timezone {timezone!r}: is an IANA name that this machine knows, as Europe/Oslo; "
                "where it knows none: pip install tzdata"
            )
            raise InvalidArgumentError(msg) from error
        try:
            ever = next(CronSim(expression, datetime(2000, 1, 1)), None)  # noqa: DTZ001 - wall time
        except CronSimError as error:
            msg = (
                f"cron {expression!r}: {error}; five fields (minute, hour, day of month, month, "
                f"day of week), six with the seconds in front, or one of {', '.join(_NAMED)}"
            )
            raise InvalidArgumentError(msg) from error
        if ever is None:
            msg = f"cron {expression!r}: no such day ever comes"
            raise InvalidArgumentError(msg)
        self._every_hour = expression.split()[-4].startswith("*")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the moments after ``moment``, in UTC, the earliest first."""
        last = moment.astimezone(UTC)
        for due in self._walk(last, reverse=False):
            if due > last:
                yield due
                last = due

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """Yield the moments after ``first`` up to ``last``, in UTC, the latest first."""
        found: datetime | None = None
        for due in takewhile(lambda due: due > first, self._walk(last, reverse=True)):
            if due <= last and due != found:
                found = due
                yield due

    def _walk(self, start: datetime, *, reverse: bool) -> Iterator[datetime]:
        """Yield what is due from ``start`` on, or backwards; some before it, and some twice."""
        sign = -1 if reverse else 1
        pending: list[int] = []
        for wall in CronSim(self._expression, self._first_wall(start, sign), reverse=reverse):
            moments = [sign * int(moment.timestamp()) for moment in self._moments(wall)]
            for moment in moments:
                heappush(pending, moment)
            # What the clocks show later is due no earlier than what they show now for the first
            # time, so that what waits until then can be told.
            while moments and pending and pending[0] <= min(moments):
                yield datetime.fromtimestamp(sign * heappop(pending), UTC)
        while pending:
            yield datetime.fromtimestamp(sign * heappop(pending), UTC)

    def _first_wall(self, start: datetime, sign: int) -> datetime:
        """Return a wall time from which on all that the clocks show from ``start`` on is found."""
        offsets = {
            (start + by).astimezone(self._zone).utcoffset()
            for by in (-_LONGEST_CHANGE, timedelta(0), _LONGEST_CHANGE)
        }
        wall = self._wall(start) - sign * _SECOND
        return wall if len(offsets) == 1 else wall - sign * _LONGEST_CHANGE

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone).replace(tzinfo=None, microsecond=0)

    def _moments(self, wall: datetime) -> list[datetime]:
        """Return when a wall time is due: see the class."""
        passes = [wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        shown = [moment for moment in passes if self._wall(moment) == wall]
        if self._every_hour:
            return sorted({*shown})
        return shown[:1] or [self._skip(passes[1], passes[0])]

    def _skip(self, low: datetime, high: datetime) -> datetime:
        """Return when the clocks are put forward between two moments."""
        offset = high.astimezone(self._zone).utcoffset()
        while high - low > _SECOND:
            middle = (low + (high - low) / 2).replace(microsecond=0)
            if middle.astimezone(self._zone).utcoffset() == offset:
                high = middle
            else:
                low = middle
        return high

"""The SQL that reads pages of jobs; see ``statements`` for its rules."""

from __future__ import annotations

from lionagi_qe.persistence.postgres.fragments import JOB_COLUMNS

_MICROSECONDS = "(extract(epoch FROM j.due_at) * 1000000)::bigint"
_PAGE = f"""
SELECT {JOB_COLUMNS}, {{due}}, {{place}}, {{tie}}
FROM {{{{schema}}}}.jobs AS j
WHERE j.fleet + 0 = $1 AND j.queue = $2 AND {{which}} LIMIT $5
"""


def _by_time(which: str, beginning: str, sign: str, direction: str, due: str) -> str:
    moment = f"coalesce(timestamptz 'epoch' + $3::bigint * interval '1 microsecond', {beginning})"
    return _PAGE.format(
        due=due,
        place=_MICROSECONDS,
        tie="j.seq",
        which=f"{which} AND (j.due_at, j.seq) {sign} ({moment}, coalesce($4::bigint, 0)) "
        f"ORDER BY j.due_at {direction}, j.seq {direction}",
    )


def _up(state: int) -> str:
    due = "(extract(epoch FROM j.due_at) * 1000)::bigint"
    return _by_time(f"j.state = {state}", "'-infinity'", ">", "ASC", due)


def _down(state: int) -> str:
    return _by_time(f"j.state = {state} AND j.due_at > now()", "'infinity'", "<", "DESC", "NULL")


_POSITION = "coalesce($3::bigint, -2147483649), coalesce($4::bigint, 0)"
_READY = f"SELECT {JOB_COLUMNS}, NULL, j.priority AS place, j.seq AS tie FROM {{schema}}.jobs AS j"
# "0 + fleet" means the index of lines.
_READY_PAGE = f"""
SELECT * FROM (
    ({_READY}
    WHERE $6::text IS NULL AND j.fleet + 0 = $1 AND j.queue = $2 AND j.state = 1
        AND j.limit_key IS NULL AND (j.priority, j.seq) > ({_POSITION})
    ORDER BY j.priority, j.seq LIMIT $5)
    UNION ALL
    ({_READY}
    WHERE 0 + j.fleet = $1 AND j.queue = $2 AND j.state = 1 AND j.limit_key IS NOT NULL
        AND (j.limit_key, j.state, j.priority, j.seq) > (
            coalesce($6, ''), 1, CASE WHEN $6 IS NULL THEN -2147483649 ELSE $3 END,
            CASE WHEN $6 IS NULL THEN 0 ELSE $4 END)
    ORDER BY j.limit_key, j.state, j.priority, j.seq LIMIT $5)
) AS page ORDER BY limit_key NULLS FIRST, place, tie LIMIT $5
"""


JOB_PAGE_TEXTS = {
    "ready_page": _READY_PAGE,
    "delayed_page": _up(0),
    "claimed_page": _up(2),
    "waiting_page": _PAGE.format(
        due="NULL",
        place="0",
        tie="j.id",
        which="j.state = 7 AND coalesce($3::bigint, 0) = 0 AND j.id > coalesce($4::text, '') "
        "ORDER BY j.id",
    ),
    "done_page": _down(3),
    "cancelled_page": _down(5),
    "dead_page": _PAGE.format(
        due="NULL",
        place="0",
        tie="j.id",
        which="j.state = 4 AND ($3::bigint IS NULL OR j.id < $4::text) ORDER BY j.id DESC",
    ),
}

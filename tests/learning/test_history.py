from pathlib import Path

import pytest

from lionagi_qe.learning.errors import HistoryError
from lionagi_qe.learning.history import Candidate, parse_history, read_history

HEADER = "Id;Name;Duration;CalcPrio;LastRun;LastResults;Verdict;Cycle"


def test_rows_become_cycles_in_ascending_order() -> None:
    cycles = parse_history(
        [
            HEADER,
            "1;b;2.5;0;2015-02-13 16:13:00;[1, 0];1;2",
            "2;a;10;0;2015-02-13 16:13:00;[];0;1",
            "3;a;10;0;2015-02-13 16:14:00;[0];1;2",
        ],
        "history",
    )
    assert [cycle.number for cycle in cycles] == [1, 2]
    assert cycles[1].candidates == (Candidate("b", 2.5), Candidate("a", 10))
    assert cycles[1].failed == (True, True)
    assert cycles[1].failures == 2
    assert cycles[1].duration == 12.5


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1;;1;0;;[];1;1", "line 2: Name is empty"),
        ("1;a;soon;0;;[];1;1", "line 2: Duration 'soon' is no number"),
        ("1;a;-1;0;;[];1;1", "line 2: Duration '-1' is negative"),
        ("1;a;nan;0;;[];1;1", "line 2: Duration 'nan' is negative or not finite"),
        ("1;a;1;0;;[];2;1", "line 2: Verdict '2'"),
        ("1;a;1;0;;[];1;first", "line 2: Cycle 'first' is no integer"),
        ("1;a;1", "line 2: Cycle None is no integer"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(row: str, complaint: str) -> None:
    with pytest.raises(HistoryError, match=complaint):
        parse_history([HEADER, row], "history")


def test_missing_columns_are_named() -> None:
    with pytest.raises(HistoryError, match="no column Verdict, Cycle"):
        parse_history(["Id;Name;Duration;CalcPrio;LastRun;LastResults"], "history")


def test_an_empty_history_is_refused() -> None:
    with pytest.raises(HistoryError, match="no executions"):
        parse_history([HEADER], "history")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"none\.csv"):
        read_history(tmp_path / "none.csv")


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"{HEADER}\n1;a;1;0;;[];1;1\n", encoding="utf-8-sig")
    assert len(read_history(path)) == 1

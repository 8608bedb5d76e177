"""How close an output made again is to the recorded one."""

import math

import pytest

from audit_trail.differences import compare_files, gap
from audit_trail.study import StudyFolder


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("0.5", "0.5", 0),
        ("nan", "nan", 0),
        ("", "", 0),
        ("1.0", "1.00", 0),
        ("1.0", "1.001", 0.001 / 1.001),
        ("-1.0", "1.0", 2),
        ("0.0", "1e-300", 1),
        ("1e300", "2e300", 0.5),
        ("12", "12.0", 0),
        ("12", "13", math.inf),
        ("100000", "100001", math.inf),
        ("nan", "0.5", math.inf),
        ("0.5", "nan", math.inf),
        ("", "0.9", math.inf),
        ("inf", "1e308", math.inf),
        ("1e999", "1.5", math.inf),
        ("1_0", "10.0", math.inf),
        ("best", "worse", math.inf),
    ],
)
def test_cells_are_close_as_finite_numbers_only(before, after, expected):
    assert gap(before, after) == pytest.approx(expected)


TABLE = "n,mode,error,low,high,verdict\n1,eval,0.00004,,,best\n2,eval,0.5,0.4,0.6,best\n"


def compared(tmp_path, name, before, after):
    files = []
    for side, content in (("before", before), ("after", after)):
        path = tmp_path / side / name
        path.parent.mkdir(exist_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        files.append((StudyFolder(path.parent), name))
    return compare_files(*files)


@pytest.mark.parametrize(
    ("old", "new", "close", "detail"),
    [
        ("0.5", "0.5001", True, "0 of 12 cells"),
        (
            "0.5",
            "0.51",
            False,
            "row 2 (n=2, mode=eval, error=0.5, low=0.4): 0.5 → 0.51, 0.0196 of the larger",
        ),
        # An interval is blank: the error counts all the same, and hides no other row.
        (
            "0.00004",
            "0.9",
            False,
            "most error in row 1 (n=1, mode=eval, error=0.00004, low=): 0.00004 → 0.9",
        ),
        ("0.00004", "nan", False, "0.00004 → nan"),
        ("0.00004", "", False, "0.00004 → nothing"),
        ("0.00004,,,best\n2,eval,0.5", "nan,,,best\n2,eval,0.9", False, "2 of 12 cells"),
        ("0.6", "0.9", False, "most high in row 2"),
        (",best", ",worse", False, "most verdict in row 1"),
        ("2,eval", "3,eval", False, "most n in row 2"),
        ("best\n2", "best\n2,eval,0.5,0.4,0.6,best\n2", False, "2 and 3 rows"),
        ("error", "rate", False, "other columns"),
        ("0.5", "0.50", True, "0 of 12 cells"),
        ("\n1", "\n2", False, "1 of 12 cells"),
        ("\n2,", "\n2,x,", False, "cannot be compared"),
        ("mode", "n", False, "cannot be compared"),
        ("best\n2", 'best\n"2', False, "cannot be compared"),
        (TABLE, "", False, "cannot be compared"),
        (TABLE, b"\xff\xfe", False, "cannot be compared"),
        (TABLE, None, False, "is not there"),
    ],
)
def test_tables_are_compared_cell_by_cell(tmp_path, old, new, close, detail):
    after = TABLE.replace(old, new, 1) if isinstance(new, str) else new
    found = compared(tmp_path, "a.csv", TABLE, after)
    assert found[0] == close
    assert detail in found[1]


@pytest.mark.parametrize("name", ["a.pdf", "a.png", "a.safetensors", "a"])
def test_of_figures_and_weights_only_the_bytes_count(tmp_path, name):
    assert compared(tmp_path, name, "%PDF 1000 bytes", "%PDF") == (False, "other bytes")

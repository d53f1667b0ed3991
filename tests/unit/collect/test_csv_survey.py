"""The survey against Python's csv module, on generated files."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from runwright_components.collect.csv_survey import first_ragged, survey

FIELD = st.text(alphabet='ab,"\n', max_size=4)
ROWS = st.lists(st.lists(FIELD, min_size=1, max_size=4), min_size=1, max_size=12)


@given(rows=ROWS, chunk=st.integers(1, 64), last_feed=st.booleans())
def test_finds_the_record_that_the_csv_module_finds(tmp_path_factory, rows, chunk, last_feed):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    written = text.getvalue() if last_feed else text.getvalue().rstrip("\n")
    path = tmp_path_factory.getbasetemp() / "survey.csv"
    path.write_text(written, newline="")
    columns = len(rows[0])

    line, expected = 1, None
    for row in rows:
        if len(row) != columns:
            expected = (line, len(row))
            break
        line += 1 + sum(field.count("\n") for field in row)

    found = first_ragged(path, ",", '"', columns, chunk_bytes=chunk)
    counts = survey(path, ",", '"', on_bytes=lambda _size: None, chunk_bytes=chunk)
    assert (found and (found.line, found.fields)) == expected
    assert counts.records == len(rows)
    assert counts.delimiters == sum(len(row) - 1 for row in rows)
    assert not counts.open_quote
    assert counts.size == len(written.encode())

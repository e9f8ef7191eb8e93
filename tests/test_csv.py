"""The CSV table, compared with its text and with what NumPy makes of it."""

import math

import numpy as np
import pytest
from jax import random as jr
from toys import log_groups

from lerax.callback import CSVBackend, LoggingCallback, MemoryBackend


def write(folder, *groups):
    """The file's text after groups of `(step, scalars)`."""
    log_groups(CSVBackend(folder), *groups)
    return (folder / "run" / "metrics.csv").read_text()


def test_there_is_a_row_per_step_and_a_column_per_tag(tmp_path):
    text = write(tmp_path, [(10, {"a": 1.5, "b/c": 2.0}), (20, {"a": 0.1 + 0.2, "b/c": -3.0})])
    assert text == "step,a,b/c\n10,1.5,2.0\n20,0.30000000000000004,-3.0\n"


def test_what_is_not_finite_is_named(tmp_path):
    text = write(tmp_path, [(1, {"a": math.nan, "b": math.inf, "c": -math.inf})])
    assert text.splitlines()[1] == "1,nan,inf,-inf"


@pytest.mark.parametrize("grouped", [True, False], ids=["in one group", "in a group each"])
def test_a_tag_that_comes_later_leaves_earlier_rows_as_they_are(tmp_path, grouped):
    records = [(1, {"a": 1.0}), (2, {"b": 2.0}), (3, {"c": 3.0, "a": 4.0})]
    text = write(tmp_path, *([records] if grouped else [[record] for record in records]))
    assert text == "step,a,b,c\n1,1.0,,\n2,,2.0,\n3,4.0,,3.0\n"


def test_two_tags_may_come_later_together(tmp_path):
    text = write(tmp_path, [(1, {"a": 1.0})], [(2, {"a": 2.0})], [(3, {"b": 3.0, "c": 4.0})])
    assert text == "step,a,b,c\n1,1.0,,\n2,2.0,,\n3,,3.0,4.0\n"


@pytest.mark.parametrize("grouped", [True, False], ids=["in one group", "in a group each"])
def test_two_records_of_one_step_share_a_row(tmp_path, grouped):
    records = [(1, {"a": 1.0}), (2, {"a": 12345.678}), (2, {"eval": 9.0, "a": 5.0}), (3, {"a": 6.0})]
    text = write(tmp_path, *([records] if grouped else [[record] for record in records]))
    assert text == "step,a,eval\n1,1.0,\n2,5.0,9.0\n3,6.0,\n"


def test_a_later_value_of_a_step_may_be_shorter(tmp_path):
    assert write(tmp_path, [(1, {"a": 12345.678})], [(1, {"a": 5.0})]) == "step,a\n1,5.0\n"


def test_a_run_that_goes_on_appends(tmp_path):
    first = write(tmp_path, [(1, {"a": 1.0})])
    second = write(tmp_path, [(2, {"a": 2.0})])
    assert second == first + "2,2.0\n"
    assert write(tmp_path, [(3, {"b": 3.0})]) == "step,a,b\n1,1.0,\n2,2.0,\n3,,3.0\n"


def test_a_run_that_goes_on_adds_to_its_last_row(tmp_path):
    """As `metrics.jsonl` does: a step is one row, also across processes."""
    write(tmp_path, [(1, {"a": 1.0}), (2, {"a": math.nan})])
    assert write(tmp_path, [(2, {"b": 2.0})], [(3, {"a": 3.0})]) == "step,a,b\n1,1.0,\n2,nan,2.0\n3,3.0,\n"


@pytest.mark.parametrize("text", ["step,a\nlast,1.0\n", "step,a\n1,1.0,2.0\n", "step,a\r\n1,1.0\r\n"])
def test_a_row_that_somebody_else_wrote_stays_as_it_is(tmp_path, text):
    path = tmp_path / "run" / "metrics.csv"
    path.parent.mkdir()
    path.write_bytes(text.encode())
    write(tmp_path, [(1, {"a": 3.0})])
    assert path.read_bytes() == text.encode() + b"1,3.0\n"


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_a_torn_last_line_is_dropped(tmp_path, kept):
    """A kill in the middle of a write loses that row, and no other."""
    path = tmp_path / "run" / "metrics.csv"
    whole = write(tmp_path, [(1, {"a": 1.0}), (2, {"a": 2.0})])
    path.write_text(whole[: len(whole) - kept])
    assert write(tmp_path, [(3, {"a": 3.0})]) == "step,a\n1,1.0\n3,3.0\n"


def test_odd_names_of_tags_stay_apart(tmp_path):
    write(tmp_path, [(1, {"a,b": 1.0, 'say "c"': 2.0, "two\nlines": 3.0, "step": 4.0})])
    text = write(tmp_path, [(2, {"two\nlines": 5.0})])
    assert text == 'step,"a,b","say ""c""","two\nlines"\n1,1.0,2.0,3.0\n2,,,5.0\n'


def test_a_group_can_be_read_while_the_run_goes_on(tmp_path):
    backend = CSVBackend(tmp_path)
    backend.open("run")
    assert (tmp_path / "run" / "metrics.csv").read_text() == "step\n"
    backend.log_scalars({"a": 1.0}, 1)
    backend.flush()
    assert (tmp_path / "run" / "metrics.csv").read_text() == "step,a\n1,1.0\n"


def test_a_failed_write_is_made_good_by_the_next(tmp_path):
    backend = CSVBackend(tmp_path)
    backend.open("run")
    backend.log_scalars({"a": 1.0}, 1)
    backend.flush()
    backend.log_scalars({"a": 2.0}, 2)
    path = tmp_path / "run" / "metrics.csv"
    path.rename(tmp_path / "away")
    with pytest.raises(OSError):
        backend.flush()
    (tmp_path / "away").rename(path)
    backend.log_scalars({"a": 3.0}, 3)
    backend.close()
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n3,3.0\n"


def test_nothing_is_written_before_a_run_begins(tmp_path):
    CSVBackend(tmp_path / "logs").close()
    assert not (tmp_path / "logs").exists()


def test_a_training_is_a_table_of_numbers(algorithm, env, policy, tmp_path):
    """NumPy reads the values that were logged; what was not logged in a row is missing there."""
    memory = MemoryBackend()
    with LoggingCallback([memory, CSVBackend(tmp_path)], name="run") as logger:
        algorithm.learn(env, policy, 12 * 64, key=jr.key(0), callback=logger)
    path = tmp_path / "run" / "metrics.csv"
    tags = path.read_text().splitlines()[0].split(",")
    assert tags[0] == "step" and set(tags[1:]) == set(memory.records[-1][1])
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    expected = [[step, *(scalars.get(tag, math.nan) for tag in tags[1:])] for step, scalars in memory.records]
    np.testing.assert_array_equal(table, expected)

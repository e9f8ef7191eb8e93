"""The list of changes that tests must notice: `make test-mutants` makes them."""

from pathlib import Path

from mutants.changes import CHANGES, misplaced


def test_every_change_stands_where_it_says_and_names_tests_that_are_there():
    assert not misplaced(Path(__file__).parents[1])


def test_no_change_is_listed_twice():
    assert len({(one.file, one.old, one.new) for one in CHANGES}) == len(CHANGES)

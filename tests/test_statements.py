"""docs/statements.md and reliability.md name a test for each statement and promise, and the test is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGES = {"statements.md": "| ", "reliability.md": "| P"}  # and how their rows begin
ROWS = [
    line.strip("| \n").rpartition(" | ")
    for page, begins in PAGES.items()
    for line in (TESTS.parent / "docs" / page).read_text("utf-8").splitlines()
    if line.startswith(begins) and not line.startswith(("| statement", "| ---"))
]


def test_there_are_statements_and_no_two_are_the_same():
    statements = [statement for statement, _, _ in ROWS]
    assert len(statements) == len(set(statements)) > 50


@pytest.mark.parametrize("statement, tests", [(row[0], row[2]) for row in ROWS], ids=lambda text: text[:40])
def test_each_has_a_test(statement, tests):
    names = re.findall(r"`(\w+\.py)::(\w+)`", tests)
    assert names and len(names) == tests.count("::"), tests
    for file, name in names:
        defined = ast.parse((TESTS / file).read_text("utf-8")).body
        assert name in {node.name for node in defined if isinstance(node, ast.FunctionDef)}

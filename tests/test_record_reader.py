"""Metrics read while they are written."""

import json
import math
import random
from pathlib import Path

from lerax.backend import JSONLBackend
from lerax.backend.jsonl import RecordReader, read_records


def opened(folder: Path) -> tuple[JSONLBackend, Path]:
    backend = JSONLBackend(folder)
    backend.open("run")
    return backend, folder / "run" / "metrics.jsonl"


def test_what_is_read_in_pieces_is_what_the_file_says(tmp_path: Path):
    """Whenever it is looked at: while lines grow, come, and are taken back."""
    backend, path = opened(tmp_path)
    reader, chance, step = RecordReader(path), random.Random(1), 0
    seen: dict[int, dict[str, float]] = {}
    for _ in range(400):
        match chance.choice(["line", "grow", "look", "look", "back"]):
            case "line":
                step += 64
                backend.log_scalars({f"a/{chance.randrange(3)}": chance.random()}, step)
            case "grow":
                backend.log_scalars({f"b/{chance.randrange(3)}": chance.random()}, step)
            case "back" if not chance.randrange(8):
                step = max(0, step - 64 * chance.randrange(1, 5))
                backend.resume(step)
        backend.flush()
        if chance.randrange(2):
            continue
        anew, records = reader.read()
        seen = {} if anew else seen
        for at, scalars in records:
            seen.setdefault(at, {}).update(scalars)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert seen == {row.pop("step"): row for row in rows}


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path):
    backend, path = opened(tmp_path)
    reader = RecordReader(path)
    backend.log_scalars({"a": 1.0}, 64)
    backend.flush()
    assert [*reader.read()[1]] == [(64, {"a": 1.0})]
    assert [*reader.read()[1]] == []
    path.touch()
    assert [*reader.read()[1]] == []


def test_only_whole_lines_are_taken(tmp_path: Path):
    """A torn one once it is whole; those of another's making never; null is NaN."""
    path = tmp_path / "metrics.jsonl"
    reader = RecordReader(path)
    assert reader.read()[0] is False and [*reader.read()[1]] == []
    path.write_text('[1]\n{"step": 1, "a": null}\n{"no": 2}\n{"step": 2, "a"')
    ((step, scalars),) = reader.read()[1]
    assert step == 1 and math.isnan(scalars["a"]) and reader.damaged == 2
    with open(path, "a") as file:
        file.write(": 3.0}\n")
    assert [*reader.read()[1]] == [(2, {"a": 3.0})] and reader.damaged == 2
    assert [step for step, _ in read_records(path)] == [1, 2]

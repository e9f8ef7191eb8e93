"""Metrics as tables: what other readers find in the files, and what `lerax export` says of them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from in_process import run as lerax
from made_runs import make

from lerax.errors import SettingError
from lerax.runs import load_runs, table, write_table

ROWS = (
    {"step": 512, "train/loss": 0.1 + 0.2},
    {"step": 1024, "train/loss": None, "episode/return": 21.0},
)
LATER = ({"step": 512, "eval/return": 1e-9, "seed": 3.5},)
HEAD = ["run", "env", "algo", "seed", "step", "train/loss", "episode/return", "eval/return", "seed_"]
EXPECTED = [
    ["many/seed_2", "CartPole-v1", "ppo", 2, 512, 0.30000000000000004, None, None, None],
    ["many/seed_2", "CartPole-v1", "ppo", 2, 1024, None, 21.0, None, None],
    ["many/seed_10", "Pendulum-v1", "ppo", 10, 512, None, None, 1e-9, 3.5],
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A training with two seeds, a run that has logged nothing, and one of a strange name."""
    many = tmp_path / "logs/many"
    make(many, "seed_10", seed=10, rows=LATER, env="Pendulum-v1")
    make(many, "seed_2", seed=2, rows=ROWS)
    (many / "seeds.json").write_text("{}")
    make(tmp_path / "logs", "bare")
    make(tmp_path / "logs", 'odd, "name"', rows=ROWS)
    return tmp_path


def with_csv(path: Path) -> tuple[list[str], list[list]]:
    """What the csv module reads; numbers are told by the column."""
    with open(path, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file, strict=True)
    kind = {"run": str, "env": str, "algo": str, "seed": int, "step": int}
    read = lambda name, cell: kind.get(name, float)(cell) if cell else None
    return head, [[read(*pair) for pair in zip(head, row, strict=True)] for row in rows]


def with_json(path: Path) -> tuple[list[str], list[list]]:
    rows = json.loads(path.read_text("utf-8"))
    assert all([*row] == [*rows[0]] for row in rows)
    return [*rows[0]], [[*row.values()] for row in rows]


def with_pyarrow(path: Path) -> tuple[list[str], list[list]]:
    reason = "needs the extra `parquet`, which `make test` installs"
    parquet = pytest.importorskip("pyarrow.parquet", reason=reason)
    found = parquet.read_table(path)
    kinds = {name: str(found.schema.field(name).type) for name in found.column_names}
    assert kinds == dict.fromkeys(HEAD, "double") | dict.fromkeys(HEAD[:3], "string") | {
        "seed": "int64",
        "step": "int64",
    }
    return found.column_names, [[*row.values()] for row in found.to_pylist()]


READERS = {"csv": with_csv, "json": with_json, "parquet": with_pyarrow}


@pytest.mark.parametrize("format", READERS)
def test_another_reader_finds_every_number(format, folder: Path):
    if format == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra `parquet`, which `make test` installs")
    done = lerax("export", "many", "--format", format, cwd=folder)
    assert done.returncode == 0, done.stderr
    path = folder / done.stdout.strip()
    assert path == folder / f"logs/many/exported.{format}"
    assert READERS[format](path) == (HEAD, EXPECTED)
    assert f'pandas.read_{format}("logs/many/exported.{format}")' in done.stderr.splitlines()[-1]
    assert "3 of 2 runs, 9 columns" in done.stderr


@pytest.mark.parametrize("format", READERS)
def test_pandas_reads_what_the_command_proposes(format, folder: Path):
    pandas = pytest.importorskip("pandas", reason="needs the extra `plot`, which `make test` installs")
    if format == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra `parquet`, which `make test` installs")
    write_table(folder / f"all.{format}", table(load_runs("many", folder / "logs")))
    frame = getattr(pandas, f"read_{format}")(folder / f"all.{format}")
    assert [*frame.columns] == HEAD and frame["seed"].tolist() == [2, 2, 10]
    np.testing.assert_array_equal(frame["train/loss"], [0.1 + 0.2, np.nan, np.nan])
    assert frame.groupby("run")["step"].max().to_dict() == {"many/seed_2": 1024, "many/seed_10": 512}


def test_one_run_goes_where_it_is_told(folder: Path):
    done = lerax("export", "odd", "--format", "csv", "-o", "own.csv", "-q", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "own.csv\n", "")
    assert {row[0] for row in with_csv(folder / "own.csv")[1]} == {'odd, "name"'}
    done = lerax("export", "odd", "--format", "json", "-o", "own.json", "--json", cwd=folder)
    facts = json.loads(done.stdout)
    assert (facts["path"], facts["rows"], facts["damaged"]) == ("own.json", 2, 0)
    assert facts["runs"] == ['odd, "name"'] and facts["columns"] == HEAD[:7]


def test_damaged_lines_are_said(folder: Path):
    with open(folder / "logs/many/seed_2/metrics.jsonl", "a") as file:
        file.write("{\n[]\n")
    done = lerax("export", "many", "--format", "csv", cwd=folder)
    said = "many/seed_2: 2 lines of its metrics.jsonl cannot be read and stay out"
    assert done.returncode == 0 and f"lerax: warning: logs/{said}" in done.stderr


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(folder: Path, monkeypatch):
    again = ("export", "many", "--format", "csv", "-o", "there.csv")
    (folder / "there.csv").write_text("mine")
    refused = lerax(*again, cwd=folder)
    assert refused.returncode == 2 and "--overwrite" in refused.stderr
    assert (folder / "there.csv").read_text() == "mine"

    def breaks(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", breaks)
        failed = lerax(*again, "--overwrite", cwd=folder)
    assert failed.returncode == 1 and "there.csv cannot be written (No space left" in failed.stderr
    assert (folder / "there.csv").read_text() == "mine" and not [*folder.glob(".there*")]
    assert lerax(*again, "--overwrite", cwd=folder).returncode == 0
    assert with_csv(folder / "there.csv") == (HEAD, EXPECTED)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody", "--format", "csv"], 2, "no such run"),
        (["bare", "--format", "csv"], 1, "nothing is logged yet"),
        (["logs/bare/config.toml", "--format", "csv"], 2, "metrics are those of a run"),
        (["many", "--format", "csv", "-o", "x.json"], 2, "ends in .csv"),
        (["many", "--format", "csv", "-o", "logs"], 2, "ends in .csv"),
        (["many", "--format", "json", "--policy", "best"], 2, "is of policies"),
        (["many", "--format", "json", "--seed", "0"], 2, "is of policies"),
        (["many", "--format", "xlsx"], 2, "onnx, csv, json, parquet"),
        (["many"], 2, "several seeds"),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, list) else "",
)
def test_bad_input_is_refused(arguments, code, said, folder: Path):
    done = lerax("export", *arguments, cwd=folder)
    assert done.returncode == code and len(done.stderr.splitlines()) == 1
    assert said in done.stderr and not [*folder.rglob("exported*")]


def test_without_pyarrow_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = lerax("export", "many", "--format", "parquet", cwd=folder)
    assert done.returncode == 1
    said = "lerax: error: lerax export: pyarrow is missing; pip install 'lerax[parquet]'\n"
    assert done.stderr == said and not [*folder.rglob("exported*")]


def test_jax_is_not_imported_for_a_table(folder: Path):
    code = (
        "import sys; from lerax_cli.app import run; run(['export', 'many', '--format', 'csv', '-q']); "
        "assert not {'jax', 'equinox', 'pandas', 'pyarrow'} & {*sys.modules}"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=folder)
    assert with_csv(folder / "logs/many/exported.csv") == (HEAD, EXPECTED)


def test_no_two_tags_are_one_column(tmp_path: Path):
    """Whichever came first."""
    later, first = (
        ({"step": 1, "run": 3.0, "step_": 4.0},),
        ({"step": 1, "run_": 1.0, "run": 2.0, "run__": 5.0},),
    )
    paths = make(tmp_path, "a", rows=later), make(tmp_path, "b", rows=first)
    columns = table([run for path in paths for run in load_runs(path)])
    found = {name: column for name, column in columns.items() if name.endswith("_")}
    assert found == {"run___": [3.0, 2.0], "step_": [4.0, None], "run_": [None, 1.0], "run__": [None, 5.0]}


def test_a_library_of_another_format_and_a_name_that_is_no_text(tmp_path: Path):
    path = make(tmp_path, os.fsdecode(b"r\xff"), rows=ROWS)
    columns = table(load_runs(path))
    assert columns["run"] == ["r\\udcff"] * 2
    with pytest.raises(SettingError, match=r"\.csv, \.json, \.parquet"):
        write_table(tmp_path / "x.xlsx", columns)
    write_table(tmp_path / "none.json", table([]))
    assert json.loads((tmp_path / "none.json").read_text()) == []

"""Backends that other packages bring: installed as pip leaves them, used through the command."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import terminal

from lerax import registry

EXAMPLE = Path(__file__).parents[1] / "examples" / "backend_plugin"
BROKEN = {
    "a missing import": ("import no_such_package", "odd:Odd", "No module named 'no_such_package'"),
    "a missing module": ("", "no_such_module:Odd", "No module named 'no_such_module'"),
    "a missing class": ("", "odd:Nothing", "has no attribute 'Nothing'"),
    "no backend": ("class Odd: pass", "odd:Odd", "no lerax.backend.AbstractLoggingBackend"),
    "a malformed entry": ("", "not an entry", "Error"),
    "an exit": ("import sys; sys.exit('go away')", "odd:Odd", "go away"),
}


def install(folder, name, points, about="About it.", group="lerax.backends"):
    """What `pip install --target` leaves of a package that brings entry points."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: {about}\n")
    lines = "".join(f"{key} = {value}\n" for key, value in points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")


def rows(folder, cwd):
    done = terminal.forked("list-backends", "--json", cwd=cwd, PYTHONPATH=path(folder))
    assert (done.returncode, done.stderr) == (0, "")
    return {row["name"]: row for row in json.loads(done.stdout)}


def path(folder):
    return f"{folder}:{Path(__file__).parents[1]}"


@pytest.fixture
def site(tmp_path):
    """A folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def test_the_example_is_listed_and_used(site, tmp_path):
    """It says the same as metrics.jsonl, which is written beside it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(site, project["name"], project["entry-points"]["lerax.backends"], project["description"])
    shutil.copy(EXAMPLE / "lerax_markdown.py", site)
    row = rows(site, tmp_path)["markdown"]
    assert row["available"] and row["about"] == project["description"]
    assert row["writes"] == "see lerax-markdown 1.0"

    done = terminal.whole(
        "train", *terminal.BRIEF, "-q", "--backend", "MARKDOWN", cwd=tmp_path, PYTHONPATH=path(site)
    )
    assert (done.returncode, done.stderr) == (0, "")
    run = terminal.only_run(tmp_path / "logs")
    head, _, _, _, *lines = (run / "metrics.md").read_text().splitlines()
    assert head == "After 2,048 steps:"
    table = {tag: values for tag, *values in (line.strip("| ").split(" | ") for line in lines)}
    logged: dict[str, list[float]] = {}
    for record in terminal.records(run):
        for tag, value in record.items():
            logged.setdefault(tag, []).append(value)
    del logged["step"]
    assert table == {
        tag: [f"{x:.4g}" for x in (values[0], values[-1], max(values))] for tag, values in logged.items()
    }
    assert 'backend = [\n    "markdown",\n]' in (run / "config.toml").read_text()


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A folder of packages that are broken, and their rows in the list."""
    folder = tmp_path_factory.mktemp("broken")
    for number, (source, target, _) in enumerate(BROKEN.values()):
        (folder / f"odd{number}.py").write_text(source)
        install(folder, f"odd-package-{number}", {f"odd{number}": target.replace("odd:", f"odd{number}:")})
    return folder, rows(folder, folder)


@pytest.mark.parametrize("number", range(len(BROKEN)), ids=BROKEN)
def test_a_broken_plugin_is_listed_with_the_reason(broken, tmp_path, number):
    """And it breaks nothing else."""
    (site, found), name, reason = broken, f"odd{number}", [*BROKEN.values()][number][2]
    assert not found[name]["available"] and reason in found[name]["reason"]
    assert all(found[name]["available"] for name in registry.BACKENDS)

    refused = terminal.forked("train", "CartPole-v1", "--backend", name, cwd=tmp_path, PYTHONPATH=path(site))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith(f"lerax: error: --backend: {name} is not available;")
    assert reason in refused.stderr
    assert not (tmp_path / "logs").exists()


def test_a_plugin_that_ends_python_is_listed_too(site, tmp_path):
    (site / "odd.py").write_text("import os; os._exit(7)")
    install(site, "odd-package", {"odd": "odd:Odd"})
    assert rows(site, tmp_path)["odd"]["reason"].endswith("exit code 7")


def test_a_plugin_that_hangs_is_listed_too(site, monkeypatch):
    (site / "odd.py").write_text("import time; time.sleep(60)")
    install(site, "odd-package", {"odd": "odd:Odd"})
    monkeypatch.setenv("PYTHONPATH", path(site))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(registry, "PLUGIN_SECONDS", 1.0)
    assert "longer than 1 s" in str(registry.obstacle(registry.BACKEND.known()["odd"]))


def test_a_plugin_is_not_imported_before_it_is_named(site, tmp_path):
    """P7: not for a list of names, nor for another backend."""
    (site / "odd.py").write_text("open('imported', 'w')")
    install(site, "odd-package", {"odd": "odd:Odd"})
    names = "from lerax import registry; assert 'odd' in registry.BACKEND.known()"
    for command in (
        [terminal.LERAX, "train", *terminal.BRIEF, "-q", "--backend", "csv"],
        [terminal.LERAX, "train", "CartPole-v1", "--backend", "oddd"],
        [terminal.sys.executable, "-c", names],
    ):
        terminal.finish(command, tmp_path, {"PYTHONPATH": path(site)})
        assert not (tmp_path / "imported").exists()


def test_a_plugin_is_among_the_names_that_come_close(site, tmp_path):
    install(site, "odd-package", {"markdown": "odd:Odd"})
    done = terminal.forked(
        "train", "CartPole-v1", "--backend", "markdwn", cwd=tmp_path, PYTHONPATH=path(site)
    )
    assert done.returncode == 2 and "did you mean markdown?" in done.stderr


def test_names_of_ours_are_not_taken_over(site, monkeypatch):
    points = {"tensorboard": "odd:Odd", "CSV": "odd:Odd", "none": "odd:Odd", "Mine": "odd:Odd"}
    install(site, "odd-package", points)
    monkeypatch.syspath_prepend(site)
    assert registry.BACKEND.plugins().keys() == {"Mine"}
    assert registry.load_backend("csv") is registry.BACKENDS["csv"].load()


def test_damaged_metadata_hide_no_other_plugin(site, monkeypatch):
    """A file that is no text, and one that is no list of entry points."""
    for number, content in enumerate((b"\xff\xfe\x00", b"[lerax.backends\nx")):
        install(site, f"damaged-{number}", {})
        (site / f"damaged_{number}-1.0.dist-info" / "entry_points.txt").write_bytes(content)
    install(site, "sound", {"sound": "sound:Sound"})
    monkeypatch.syspath_prepend(site)
    assert "sound" in registry.BACKEND.plugins()

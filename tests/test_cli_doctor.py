"""`lerax doctor`: each capability is tried, and a missing one is told with what mends it."""

import json
import sys
from pathlib import Path

import pytest
import terminal
from test_plugins import install

from lerax import registry
from lerax_cli import checks, doctor
from lerax_cli.checks import Check

NAMES = ("jax", "cache", "disk", "physics", "pygame", "egl", "osmesa", "mp4", "gif", *registry.BACKENDS)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> terminal.Finished:
    """One look at this machine, whose encoder and cache are taken away."""
    folder = tmp_path_factory.mktemp("doctor")
    broken = {"IMAGEIO_FFMPEG_EXE": "/bin/false", "JAX_COMPILATION_CACHE_DIR": "/proc/nowhere"}
    finished = terminal.run("doctor", "--json", cwd=folder, **broken)
    assert not list(folder.iterdir()), "it leaves nothing"
    return finished


@pytest.fixture(scope="module")
def rows(done: terminal.Finished) -> dict[str, dict]:
    """What it found, by name."""
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_every_capability_has_a_row(rows: dict[str, dict]):
    """Every backend among them, and the software renderer where there is one."""
    assert [name for name in rows if name != "software"] == list(NAMES)


@pytest.mark.parametrize("name", ["jax", "disk", "physics", "pygame", "gif", *registry.BACKENDS])
def test_what_the_tests_use_works(rows: dict[str, dict], name: str):
    """With a word about it, and nothing to mend."""
    row = rows[name]
    assert row["works"] and row["mend"] is None and row["said"] and row["seconds"] >= 0, row


def test_what_is_needed_and_missing_fails_with_what_mends_it(done: terminal.Finished, rows: dict[str, dict]):
    """Exit 1, and the name on standard error."""
    assert done.returncode == 1
    row = rows["mp4"]
    assert (row["works"], row["needed"]) == (False, True)
    assert "encoder" in row["said"] and "imageio-ffmpeg" in row["mend"]
    assert "mp4" in done.stderr and len(done.stderr.splitlines()) == 1


def test_what_is_not_needed_is_only_told(rows: dict[str, dict]):
    """Without a cache everything works, later."""
    row = rows["cache"]
    assert (row["works"], row["needed"]) == (False, False)
    assert "/proc/nowhere" in row["said"] and "JAX_COMPILATION_CACHE_DIR" in row["mend"]


def test_unknown_name_is_refused(tmp_path: Path):
    """Exit 2, with the nearest."""
    said = terminal.run("doctor", "--require", "egll", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (2, "")
    assert "--require" in said.stderr and "did you mean egl" in said.stderr


def look(monkeypatch: pytest.MonkeyPatch, capsys, working: set[str], **options) -> tuple[int, str, str]:
    """What doctor says of four made-up capabilities, some of which work."""
    checks = {
        "own": Check(str, "mend own"),
        "extra": Check(str, "mend extra", needed=False),
        "one": Check(str, "mend one", purpose="pictures"),
        "two": Check(str, "mend two", purpose="pictures"),
    }

    def tried(name: str, check: Check) -> dict:
        works = name in working
        return {"name": name, "works": works, "said": name * 50, "mend": None if works else check.mend}

    monkeypatch.setattr(doctor, "all_checks", lambda: checks)
    monkeypatch.setattr(doctor, "_row", tried)
    code = doctor.doctor(**options)
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("working", "missing"),
    [
        ({"own", "one", "two", "extra"}, []),
        ({"own", "two"}, []),
        ({"own", "one"}, []),
        ({"own"}, ["one", "two"]),
        ({"one"}, ["own"]),
    ],
)
def test_purpose_several_is_enough(monkeypatch, capsys, working: set[str], missing: list[str]):
    """Exit 1 only if something needed is missing."""
    code, out, err = look(monkeypatch, capsys, working)
    assert code == (1 if missing else 0)
    assert all(name in err for name in missing) and ("all that is needed works" in err) == (not missing)
    lines = out.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [
        [name, "yes" if name in working else "no" if name in missing else "no,"]
        for name in ("own", "extra", "one", "two")
    ]
    for name, line in zip(("own", "extra", "one", "two"), lines, strict=True):
        assert line.endswith(f"mend {name}") == (name not in working)
        assert len(line) < 130


def test_what_is_required_is_needed(monkeypatch, capsys):
    """Whatever else works."""
    code, _, err = look(monkeypatch, capsys, {"own", "one"}, require=["two", "own"])
    assert code == 1 and "two" in err and "own" not in err


def test_check_that_hangs_is_ended(monkeypatch):
    """Nothing waits longer than the limit."""
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    row = doctor._row("jax", Check(str, "mend it"))
    assert (row["works"], row["mend"]) == (False, "mend it") and "not done after" in row["said"]


@pytest.mark.parametrize("name", ["jax", "physics"])
def test_platform_that_is_not_here_is_told(monkeypatch: pytest.MonkeyPatch, name: str):
    """In the words that training has for it, not as an error without a word."""
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    row = doctor._row(name, Check(str, "mend it"))
    assert not row["works"] and row["said"].startswith("JAX_PLATFORMS: not here (got 'cuda'); found: ")


def test_check_that_fails_without_a_word_is_placed(monkeypatch: pytest.MonkeyPatch):
    """An assertion of somebody's says nothing: then it is told where it stands."""

    def fails() -> str:
        raise AssertionError

    monkeypatch.setattr(checks, "all_checks", lambda: {"it": Check(fails, "")})
    monkeypatch.setattr(sys, "argv", ["checks", "it"])
    with pytest.raises(SystemExit) as stop:
        checks.main()
    assert str(stop.value).startswith("AssertionError: without a word, in line ") and __file__ in str(
        stop.value
    )


def test_check_that_crashes_is_told():
    """A name that is none ends the process as a crash would."""
    row = doctor._row("no such check", Check(str, "mend it"))
    assert not row["works"] and "KeyError" in row["said"]


PLUGIN = """
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy
"""


def test_what_packages_bring_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of every kind; one that cannot be imported is told of, and nothing depends on it."""
    (tmp_path / "brought.py").write_text(PLUGIN)
    for kind, works in (
        (registry.ENV, "brought:CartPole"),
        (registry.POLICY, "brought:MLPActorCriticPolicy"),
    ):
        points = {"Works": works, "Fails": "brought:Nothing"}
        install(tmp_path, kind.word, points, group=kind.group)
    install(tmp_path, "other", {"Fails": "no_such_module:Mine"}, group=registry.ALGORITHM.group)
    monkeypatch.syspath_prepend(tmp_path)
    found = checks.all_checks()
    assert found["env.Works"].try_it() == "CartPole can be imported"
    assert found["policy.Works"].try_it() == "MLPActorCriticPolicy can be imported"
    for name, error in (
        ("env.Fails", AttributeError),
        ("policy.Fails", AttributeError),
        ("algorithm.Fails", ModuleNotFoundError),
    ):
        with pytest.raises(error):
            found[name].try_it()
        assert not found[name].needed and "1.0" in found[name].mend

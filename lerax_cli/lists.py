"""`list-backends`, `list-envs`, `list-wrappers`, `list-policies` and `list-algos`."""

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer

from lerax import registry
from lerax.names import Entry, Kind
from lerax.registry import ALGORITHM, BACKEND, ENV, POLICIES, obstacle
from lerax.settings import REQUIRED, Setting, plain, settings_of

from . import fitting, naming, policies, report, words
from .declared import KINDS, WRAP, action_kinds, declared, is_ours, setting_name

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _argument(complete: Any) -> Any:
    return typer.Argument(help="Show the settings of this one.", show_default=False, autocompletion=complete)


def list_backends(json: Json = False) -> None:
    """List the logging backends, whether they can be used, and where they write."""
    reasons = _reasons(BACKEND)
    if json:
        rows = [
            {"name": e.name, "available": not why, "reason": why, "about": e.about, "writes": e.writes}
            for e, why in reasons.items()
        ]
        report.result_json(rows)
        return
    cells = [("NAME", "AVAILABLE", "WHAT IT IS", "WHERE IT WRITES")]
    for entry, why in reasons.items():
        cells.append((entry.name, f"no: {why}" if why else "yes", entry.about, entry.writes))
    report.table(cells)
    report.say("RUN is the run's directory, by default in logs/.")


def list_envs(env: Annotated[str | None, _argument(words.envs)] = None, json: Json = False) -> None:
    """List the environments, or the settings of one of them."""
    _list("env", "ENV", env, json)


def list_wrappers(
    wrapper: Annotated[str | None, _argument(words.wrapper_names)] = None, json: Json = False
) -> None:
    """List the wrappers that --wrap takes, or the settings of one of them."""
    _list(WRAP, "WRAPPER", wrapper, json)


def list_policies(
    policy: Annotated[str | None, _argument(words.trainable)] = None, json: Json = False
) -> None:
    """List the policies that can be trained, or the settings of one of them."""
    _list("policy", "POLICY", policy, json)


def list_algos(
    algorithm: Annotated[str | None, _argument(words.algorithms)] = None,
    env: Annotated[
        str | None,
        typer.Option(
            metavar="ENV",
            help="Say which fit this environment, and what the preset of each reaches there.",
            autocompletion=words.envs,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the algorithms, or the settings of one of them and of the policy that it trains."""
    if env is None:
        _list("algorithm", "ALGORITHM", algorithm, json)
    elif algorithm is None:
        _list_fitting(naming.find("--env", ENV, env, trusted=True), json)
    else:
        raise report.BadInput("--env", f"is for the list of all (got ALGORITHM {algorithm}); leave one out")


def _list(table: str, where: str, name: str | None, json: bool) -> None:
    kind = KINDS[table]
    if name is None:
        _list_entries(kind, json)
    else:
        entry = naming.find(where, kind, name, trusted=True)
        way = f"--wrap '{entry.name}={{SETTING = VALUE}}'" if table == WRAP else "--set SETTING=VALUE"
        _list_settings(_settings(table, where, entry), way, json)


def _reasons(kind: Kind) -> dict[Entry, str | None]:
    """All of a kind, and why they cannot be used."""
    entries = kind.known().values()
    with ThreadPoolExecutor() as pool:  # a plugin is tried in a process of its own
        return dict(zip(entries, pool.map(lambda entry: obstacle(entry, kind), entries), strict=True))


def _list_entries(kind: Kind, json: bool) -> None:
    reasons = _reasons(kind)
    table = next(name for name, one in KINDS.items() if one is kind)
    rows = [{"name": entry.name, "about": entry.about} | _available(why) for entry, why in reasons.items()]
    if kind in (ENV, ALGORITHM):
        for row, entry in zip(rows, reasons, strict=True):
            row["actions"] = action_kinds(table, entry)
    if json:
        report.result_json(rows)
        return
    head = ("NAME", "ACTIONS", "WHAT IT IS") if kind in (ENV, ALGORITHM) else ("NAME", "WHAT IT IS")
    cell = {
        "NAME": lambda row: row["name"],
        "ACTIONS": lambda row: ", ".join(row["actions"] or ()),
        "WHAT IT IS": _about,
    }
    report.table([head, *(tuple(cell[name](row) for name in head) for row in rows)])
    if kind is ENV:
        others = ", ".join(f"{prefix}:ID" for prefix in ENV.doors)
        report.say(f"Beside these: {others}, and classes of your own, FILE.py:CLASS or MODULE:CLASS")


def _available(reason: str | None) -> dict[str, Any]:
    return {"available": not reason, "reason": reason}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.12g}"


def _about(row: dict[str, Any]) -> str:
    return row["about"] if row["available"] else f"not available: {row['reason']}"


def _list_fitting(env: Entry, json: bool) -> None:
    """The algorithms, whether they fit an environment, and what the preset of each reaches."""
    presets = registry.presets(env.name)
    usual = fitting.default_algorithm(env, presets).name
    rows = []
    for entry, reason in _reasons(ALGORITHM).items():
        why = None if reason else _misfit(entry, env)
        preset = presets.get(entry.name, {})
        rows.append(
            {"name": entry.name, "about": entry.about}
            | _available(reason)
            | {"fits": None if reason else not why, "misfit": why or None, "default": entry.name == usual}
            | {key: preset.get(key) for key in ("score", "steps", "seconds")}
        )
    if json:
        report.result_json(rows)
        return
    cells = [("NAME", "FITS", "SCORE", "STEPS", "SECONDS", "WHAT IT IS")]
    for row in rows:
        fits = {None: "-", True: "yes", False: f"no: {row['misfit']}"}[row["fits"]]
        score, steps, seconds = (_number(row[key]) for key in ("score", "steps", "seconds"))
        cells.append((row["name"], fits, score, steps, seconds, _about(row)))
    report.table(cells)
    report.say(
        f"`lerax train {naming.written(env.name)}` takes {usual}, and --algo NAME another one. "
        "SECONDS are of a CPU."
    )


def _misfit(algorithm: Entry, env: Entry) -> str:
    """Why an algorithm does not fit an environment; "" where it does."""
    kinds, own = action_kinds("env", env), action_kinds("algorithm", algorithm)
    if kinds is not None and own is not None:
        return "" if {*kinds} <= {*own} else f"for {' or '.join(own)} actions"
    cls = naming.load("algorithm", ALGORITHM, algorithm)
    made = policies.make_env("--env", env, {})
    try:
        return fitting.misfit(cls, made)
    except (Exception, SystemExit) as error:  # others' code may raise what it likes
        return f"{type(error).__name__}: {error}"


def _settings(table: str, where: str, entry: Entry) -> dict[str, Setting]:
    """The settings of an entry, and those of an algorithm's policy, by the names that `--set` takes."""
    if is_ours(table, entry):
        found, policy = declared(table, entry), POLICIES.get(entry.policy)
    else:
        cls = naming.load(where, KINDS[table], entry)
        found = settings_of(cls)
        policy = naming.default_policy(where, cls) if KINDS[table] is ALGORITHM else None
    named = {setting_name(table, name): s for name, s in found.items()}
    return named | (_settings("policy", where, policy) if policy else {})


def _list_settings(settings: dict[str, Setting], way: str, json: bool) -> None:
    if json:
        rows = {
            name: {
                "type": s.type_name,
                "default": _default(s),
                "allowed": s.allowed,
                "help": s.help,
            }
            for name, s in settings.items()
        }
        report.result_json(rows)
        return
    cells = [("SETTING", "TYPE", "DEFAULT", "ALLOWED", "WHAT IT DOES")]
    for name, s in settings.items():
        cells.append((name, s.type_name, _shown(_default(s)), s.allowed, s.help))
    report.table(cells)
    report.say(f"Set one with: lerax train ENV {way}")


def _default(setting: Setting) -> Any:
    return "" if setting.default is REQUIRED else plain(setting, setting.default)


def _shown(value: Any) -> str:
    """A default as `--set` takes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_shown(item)}" for name, item in value.items()) + "}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)

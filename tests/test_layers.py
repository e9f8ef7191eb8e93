"""Which part of the library may import which."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# A file imports only from rooms to the left of its own, or from inside its own room.
ORDER = (
    "errors interval kinds settings devices tree ending files archive checkpoint fingerprint cores processes "
    "provenance render "
    "hosted backend space distribution statistics env compatibility wrapper network policy learner advantage "
    "schedule collect evaluate benchmark player record check onnx_graph export checkpoints run callback "
    "algorithm bench target buffer replay presets class_file names registry named gym runs eject study sweep "
    "report verify branch lerax_cli"
).split()
# Where a package may be imported: prefixes of paths.
CONFINED = {
    "typer": ("lerax_cli/",),
    "rich": ("lerax/backend/live.py", "lerax/callback/progress_bar.py"),
    "matplotlib": ("lerax/study/picture.py",),
    "optuna": ("lerax/sweep/",),
    "ray": ("lerax_cli/ray_trials.py",),
    "plotext": ("lerax/study/terminal.py",),
    "lerax_cli": ("lerax_cli/",),
    "IPython": (),  # nowhere: a kernel has imported it
}
OF_AN_EXTRA = {"lerax_cli.ray_trials": "ray"}  # which cannot be imported without it
ROOT = Path(importlib.util.find_spec("lerax").origin).parent.parent
FILES = sorted(path for room in ("lerax", "lerax_cli") for path in (ROOT / room).rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in FILES]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    package, _, rest = module.partition(".")
    return package if package != "lerax" else rest.partition(".")[0]


class Imports(ast.NodeVisitor):
    """Collects the full names of what a file imports, except under TYPE_CHECKING."""

    def __init__(self, path):
        self.names = []
        package = module_of(path).split(".")
        self.package = package if path.name == "__init__.py" else package[:-1]
        self.visit(ast.parse(path.read_text()))

    def visit_If(self, node):
        if getattr(node.test, "id", None) == "TYPE_CHECKING":
            for child in node.orelse:
                self.visit(child)
        else:
            self.generic_visit(node)

    def visit_Import(self, node):
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node):
        above = self.package[: len(self.package) + 1 - node.level] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        self.names += [f"{module}.{alias.name}" for alias in node.names]


class ImportsAtOnce(Imports):
    """What is imported together with a file, and not by a function of it."""

    def visit_FunctionDef(self, node):
        pass


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_file_imports_only_from_rooms_above_it(path):
    own = room_of(module_of(path))
    if not own:
        assert Imports(path).names == [], "lerax/__init__.py imports nothing"
        return
    for name in Imports(path).names:
        if name.partition(".")[0] not in ("lerax", "lerax_cli") or name == "lerax.__version__":
            continue
        assert room_of(name) == own or ORDER.index(room_of(name)) < ORDER.index(own), name


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_confined_packages_stay_in_their_place(path):
    place = str(path.relative_to(ROOT))
    for name in Imports(path).names:
        allowed = CONFINED.get(name.partition(".")[0], ("",))
        assert place.startswith(allowed), name


def test_the_software_renderer_has_one_door_and_one_caller():
    """So that it can be taken away."""
    package = "lerax.render.software"
    asked = {
        (module_of(path), name)
        for path in FILES
        for name in Imports(path).names
        if f"{name}.".startswith(f"{package}.") and not module_of(path).startswith(package)
    }
    assert asked == {("lerax.render.mujoco_renderer", f"{package}.Software")}


@pytest.mark.parametrize(
    "module",
    [
        "lerax",
        "lerax.backend",
        "lerax.render",
        "lerax.hosted.gymnasium",
        "lerax.registry",
        "lerax.run",
        "lerax.runs",
        "lerax.files",
        "lerax.report",
        "lerax.study.compare",
        "lerax.study.curves",
        "lerax.study.picture",
        "lerax.study.statistics",
        "lerax.study.terminal",
        "lerax.sweep.plan",
        "lerax.verify",
        "lerax_cli.by_ray",
    ],
)
def test_what_the_command_needs_first_leaves_jax_out(module):
    code = f"import sys, {module}; assert not {{'jax', 'equinox'}} & set(sys.modules), 'imports JAX'"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


# Other people's packages are imported once. Each statement then runs in a process of its own, forked from the
# one that has imported the package around it, as any import of it does first, or the first of these rooms
# that the module imports itself: what is in memory behind its imports is the same.
ROOMS_THAT_TAKE_LONG = "lerax.algorithm", "lerax.callback", "lerax.evaluate", "lerax.policy", "lerax.env"
FORKS = """
import json, os, sys, warnings
import jax, equinox, optax, numpy, optuna, scipy.special, typer

def run_each(statements):
    failed = 0
    for statement, inside in statements.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that JAX has threads: nothing was computed yet
            child = os.fork()
        if child == 0:
            try:
                warnings.simplefilter("error")
                exec(statement, {})
                os._exit(run_each(inside))
            except BaseException as error:
                print(statement, repr(error), file=sys.stderr, flush=True)
                os._exit(1)
        failed |= os.waitpid(child, 0)[1]
    return int(failed > 0)

assert not any(name.startswith("lerax") for name in sys.modules)
sys.exit(run_each(json.loads(sys.argv[1])))
"""


def imported_before(module, path):
    """What stands in memory before a module can be imported, or comes there with it."""
    package = module.rpartition(".")[0]
    if package in ("lerax", "lerax_cli"):
        names = [f"{name}." for name in ImportsAtOnce(path).names]
        for room in ROOMS_THAT_TAKE_LONG:
            if module != room and any(name.startswith(f"{room}.") for name in names):
                return room
    return package


def test_every_module_and_every_public_name_can_be_imported_first():
    inside: dict[str, dict] = {module_of(path): {} for path in FILES}
    statements: dict[str, dict] = {}
    for path in FILES:
        module = module_of(path)
        if module in OF_AN_EXTRA and importlib.util.find_spec(OF_AN_EXTRA[module]) is None:
            continue
        before = imported_before(module, path)
        (inside[before] if before else statements)[f"import {module}"] = inside[module]
        if path.name == "__init__.py":
            names = [name.rpartition(".")[2] for name in Imports(path).names]
            inside[module] |= {f"from {module} import {name}": {} for name in names}
    assert str(statements).count("import ") > len(FILES)
    names = "lerax.env, lerax.env.mujoco, lerax.env.classic_control, lerax.space"
    statements[f"import sys, {names}; assert 'gymnasium' not in sys.modules"] = {}  # it takes long
    command = [sys.executable, "-c", FORKS, json.dumps(statements)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")


def refuses_by_a_text(node):
    """Whether a statement raises a plain error of a value that is said to be `got`."""
    call = getattr(node, "exc", None)
    plain = isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("ValueError", "TypeError")
    return plain and "allowed: " in ast.unparse(call)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_errors_and_warnings_are_objects(path):
    """What is refused and what is warned of has a class of lerax, and the command reads no message."""
    code = path.read_text()
    raised = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Raise)]
    assert not [node.lineno for node in raised if refuses_by_a_text(node)]
    assert path.name == "errors.py" or not re.search(r"\b(Runtime|User)Warning\b", code)
    read = r"str\((error|message)\)\.(r?partition|removeprefix|removesuffix|startswith|splitlines)"
    assert path.parts[-2] != "lerax_cli" or not re.search(read, code)


def test_nothing_changes_the_filters_of_warnings_for_a_while():
    """They belong to all threads: `catch_warnings` on one of several undoes what the others do."""
    assert [
        name for name, path in zip(IDS, FILES, strict=True) if "catch_warnings(" in path.read_text()
    ] == []

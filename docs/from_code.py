"""Directives that write parts of pages from the code, so that they cannot be out of date."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Generic

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def public(module: str) -> Iterator[str]:
    """What a module says of itself, and all that it exports, in its own order.

    A package's names from other packages are links; the constants of a module that is none are left out.
    """
    found = importlib.import_module(module)
    borrowed = []
    yield f"```{{eval-rst}}\n{inspect.getdoc(found)}\n\n.. py:currentmodule:: {module}"
    for name, value in vars(found).items():
        home = getattr(value, "__module__", module)
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        if not f"{home}.".startswith(f"{module}."):
            borrowed.append((home, name))
        elif callable(value) or hasattr(found, "__path__"):
            kind = "class" if inspect.isclass(value) else "function"
            constant = f".. py:data:: {name}\n   :value: {value}"
            yield f".. auto{kind}:: {module}.{name}" if callable(value) else constant
    yield "```"
    if borrowed and hasattr(found, "__path__"):
        links = [f"{{py:class}}`~{'.'.join(home.split('.')[:2])}.{name}`" for home, name in borrowed]
        yield f"\nAlso importable from here: {', '.join(links)}."


def commands(_: str) -> Iterator[str]:
    """What each command says to `--help`."""
    import typer
    from typer.testing import CliRunner

    from lerax_cli.app import app
    from lerax_cli.parsing import load

    for name in typer.main.get_group(app).commands:  # type: ignore[attr-defined]
        yield f"## lerax {name}\n"
        for words in ([name], *([name, inside] for inside in getattr(load(name), "commands", ()))):
            help = CliRunner().invoke(app, [*words, "--help"], prog_name="lerax", terminal_width=88)
            yield f"```text\n{help.stdout.strip()}\n```\n"


def settings(target: str) -> Iterator[str]:
    """The settings of a class, given as `module:class`."""
    from lerax.settings import settings_of

    module, _, name = target.partition(":")
    yield "| setting | default | allowed | what it does |\n|---|---|---|---|"
    for s in settings_of(getattr(importlib.import_module(module), name)).values():
        yield f"| `{s.name}` | `{s.default}` | {s.allowed} | {s.help} |"


def registered(table: str) -> Iterator[str]:
    """What the registry knows: `ENVS`, `ALGORITHMS`, `POLICIES` or `BACKENDS`."""
    from lerax import registry

    entries = getattr(registry, table).values()
    if any(entry.writes for entry in entries):
        yield "| name | what it is | where it writes |\n|---|---|---|"
        yield from (f"| `{entry.name}` | {entry.about} | `{entry.writes}` |" for entry in entries)
    else:
        yield "| name | what it is |\n|---|---|"
        yield from (f"| `{entry.name}` | {entry.about} |" for entry in entries)


def algorithms(_: str) -> Iterator[str]:
    """Our algorithms, the actions that each fits, and the policy that it trains."""
    from lerax import registry
    from lerax_cli.declared import action_kinds

    yield "| name | what it is | actions | policy |\n|---|---|---|---|"
    for entry in registry.ALGORITHMS.values():
        kinds = ", ".join(action_kinds("algorithm", entry) or ())
        yield f"| `{entry.name}` | {entry.about} | {kinds} | `{entry.policy}` |"


def presets(_: str) -> Iterator[str]:
    """What each preset promises, and after how many steps."""
    from lerax import registry

    yield "| environment | algorithm | steps | score |\n|---|---|---:|---:|"
    for env in registry.ENVS:
        for algorithm, preset in registry.presets(env).items():
            score = f"{preset['score']:,g}" if "score" in preset else ""
            yield f"| `{env}` | `{algorithm}` | {preset['steps']:,} | {score} |"


SPELLINGS = {  # what annotations are called when they run, and what they are called in the code
    r"~?equinox\S*\.AbstractVar\[(.*)\]": r"\1",
    r"~?jaxlib\._jax\.Array": "Array",
    r"~?jaxtyping\.": "",
    r"~?Key\[Array, ''\] \| ~?UInt32\[Array, '2'\] \| ~?UInt32\[Array, '4'\]": "PRNGKeyArray",
}


def as_written(annotation: str) -> str:
    """An annotation as it stands in the code."""
    for found, written in SPELLINGS.items():
        annotation = re.sub(found, written, annotation)
    return annotation


def tidy_signature(*event: Any) -> tuple[str | None, str | None]:
    """Of a documented object."""
    signature, returned = event[-2:]
    return signature and as_written(signature), returned and as_written(returned)


def tidy_attributes(*event: Any) -> None:
    """The types of a class's attributes; those with shapes are code, for Sphinx would take them for names."""
    lines = event[-1]
    for i, line in enumerate(lines):
        if line.startswith(":vartype "):
            _, name, annotation = line.split(maxsplit=2)
            annotation = as_written(annotation)
            lines[i] = f":vartype {name} " + (f"``{annotation}``" if "[" in annotation else annotation)


def tell_settings(*event: Any) -> None:
    """Of a class: what can be set, as its fields declare it."""
    from lerax.settings import settings_of

    _, kind, _, found, _, lines = event
    if kind == "class" and dataclasses.is_dataclass(found):
        rows = {f":param {s.name}:": s.help for s in settings_of(found).values()}
        told = [f"{name} {help}" for name, help in rows.items() if name not in " ".join(lines)]
        lines += told and ["", *told, ""]


def backends(_: str) -> Iterator[str]:
    """The logging backends of the library, with the first sentence that each says of itself."""
    import lerax.backend

    yield "| backend | what it does |\n|---|---|"
    for name, value in vars(lerax.backend).items():
        if inspect.isclass(value) and issubclass(value, lerax.backend.AbstractLoggingBackend):
            if not inspect.isabstract(value):
                said = " ".join((value.__doc__ or "").split("\n\n")[0].split())
                yield f"| {{py:class}}`~lerax.backend.{name}` | {said} |"


def tidy_bases(*event: Any) -> None:
    """Of a class: those that no package exports give way to their own."""
    event[-1][:] = dict.fromkeys(base for found in event[-1] for base in exported(found))


def exported(base: Any) -> Iterator[Any]:
    """The class, if it is public, or else the public ones that it derives from."""
    found = getattr(base, "__origin__", base)
    package = importlib.import_module(found.__module__.rpartition(".")[0] or found.__module__)
    if found.__module__.startswith("lerax.") and not hasattr(package, found.__name__):
        for above in found.__bases__:
            yield from exported(above)
    elif found is not Generic:
        yield base


def skip_fields(*event: Any) -> bool | None:
    """Fields of named tuples, which their class describes."""
    return True if "_tuplegetter" in type(event[3]).__name__ else None


def _directive(write: Callable[[str], Iterator[str]]) -> type[SphinxDirective]:
    class FromCode(SphinxDirective):
        optional_arguments = 1

        def run(self) -> list[nodes.Node]:
            text = "\n".join(write(*self.arguments or [""]))
            return self.parse_text_to_nodes(text, allow_section_headings=True)

    return FromCode


def setup(app: Sphinx) -> dict[str, Any]:
    for write in (public, commands, settings, registered, algorithms, presets, backends):
        app.add_directive(write.__name__, _directive(write))
    app.connect("autodoc-process-bases", tidy_bases)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-signature", tidy_signature)
    app.connect("autodoc-process-docstring", tidy_attributes, priority=900)  # after napoleon
    app.connect("autodoc-process-docstring", tell_settings, priority=901)
    return {"parallel_read_safe": True}

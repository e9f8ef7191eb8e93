"""Classes of environments that others name by an id: each is made when it is asked for."""

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from lerax.errors import SettingError
from lerax.settings import setting, settings_of

ANY = "bool or int or float or str or none"  # of an argument whose default does not tell its kind
T = TypeVar("T")


def class_of(base: type[T], id: str, whose: str, fields: dict[str, Any], **attributes: Any) -> type[T]:
    """The class of an id.

    Args:
        base: What it derives from.
        id: The id.
        whose: Who has it.
        fields: Its settings, of `lerax.settings.setting`.
        attributes: What else it has.
    """
    body = {
        "__module__": base.__module__,
        "__doc__": f"`{id}` of {whose}, see `{base.__name__}`.",
        "__annotations__": dict.fromkeys(fields, Any),
        "id": id,
    }
    own = body | attributes | fields
    return types.new_class(re.sub(r"\W", "_", id), (base,), exec_body=lambda namespace: namespace.update(own))


def fields_of(
    base: type,
    defaults: Mapping[str, Any],
    help: str,
    *,
    static: bool | None = True,
    at_least: float | None = None,
) -> dict[str, Any]:
    """The settings of arguments, for `class_of`, without those that no plain value stands for.

    Args:
        base: What the class will derive from; an argument that has the name of something of its is left out.
        defaults: What the arguments are by default, by name.
        help: What they do.
        static: As `lerax.settings.setting` takes it.
        at_least: Their least value.
    """
    fields = {}
    for name, default in defaults.items():
        if hasattr(base, name) or name in settings_of(base):
            continue
        default = tuple(default) if isinstance(default, list) else default
        for kind in _kinds(default, bool(static)):
            try:
                field = setting(default, help, kind=kind, kw_only=True, static=static, at_least=at_least)
                if field.metadata["setting"]._replace(name=name).convert(default) == default:
                    fields[name] = field
                    break
            except (SettingError, KeyError):
                continue
    return fields


def _kinds(default: Any, static: bool) -> list[str]:
    """What a value may be, by its default, the narrowest first."""
    if isinstance(default, bool | int | float | str):
        return [type(default).__name__]
    if default is None:
        return [ANY]
    if not isinstance(default, tuple) or not default:
        return []
    of = type(default[0]).__name__
    lists = "list of int or list of float" if of == "int" else f"list of {of}"
    return ["interval", lists] if len(default) == 2 and static else [lists]


def check_id(whose: str, id: str, ids: Iterable[str]) -> None:
    """Refuses an id that there is not.

    Raises:
        SettingError: `ids` has it not.
    """
    known = list(ids)
    if id not in known:
        near = difflib.get_close_matches(id, known, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else ""
        allowed = "" if near else ", ".join(known)
        raise SettingError("id", id, allowed, wrong=f"{whose} has no such task", hint=hint)

"""Classes of environments that others name by an id: each is made when it is asked for."""

import re
import types
from typing import Any, TypeVar

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

"""beartype, as lerax's annotations are to be read."""

from typing import IO

from beartype import BeartypeConf, FrozenDict, beartype

checked = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # an int may stand where a float is asked for
        # At run time `IO` means all attributes of a file on disk; captured and in-memory streams lack some.
        hint_overrides=FrozenDict({IO[str]: object}),
    )
)

"""The callback that does nothing."""

from .base_callback import AbstractCallback


class EmptyCallback(AbstractCallback):
    """A placeholder: all hooks at their defaults."""

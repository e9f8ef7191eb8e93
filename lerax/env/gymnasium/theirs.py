"""Environments of Gymnasium: each id is a class, whose settings are the arguments of what is registered."""

import functools
from typing import Any, ClassVar

import gymnasium

from lerax.errors import SettingError
from lerax.hosted.gymnasium import ATARI, Actions, Make, Observation, arguments_of, facts_of, spec_of
from lerax.hosted.instances import Kind
from lerax.settings import changed_settings, setting
from lerax.space import AbstractSpace, from_gymnasium

from ..hosted import AbstractHostedEnv, forms_of
from ..task_class import class_of, fields_of

PREFIX = "gymnasium:"
FPS = 30.0  # where an environment does not say
PREPROCESS = "preprocess"


class AbstractGymnasiumTask(AbstractHostedEnv):
    """An environment that is registered with Gymnasium; `task_class` makes the class of an id.

    Its numbers are of 32 bits here, whatever they are there.

    Attributes:
        id: Its id.
        max_episode_steps: Steps after which an episode is truncated; None for the limit that is registered.
    """

    id: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]
    max_episode_steps: int | None = setting(
        None,
        "Steps after which an episode is truncated; none for the registered limit.",
        kind="int or none",
        at_least=1,
        at_most=2**31 - 1,
        kw_only=True,
    )

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{PREFIX}{self.id}"

    def describe(self, draws: bool) -> tuple[Kind, AbstractSpace, AbstractSpace, float, bool]:
        given, preprocess = changed_settings(self, self.arguments), bool(getattr(self, PREPROCESS, False))
        make = Make(self.id, given, self.max_episode_steps, preprocess, draws)
        observations, actions, metadata = facts_of(make)
        seen, done = from_gymnasium(observations), from_gymnasium(actions)
        kind = Kind(make, Actions(actions), Observation(observations), forms_of(seen), forms_of(done))
        draws = "rgb_array" in (metadata.get("render_modes") or ())
        return kind, seen, done, float(metadata.get("render_fps") or FPS), draws


def made_as(env: gymnasium.Env) -> tuple[str, dict[str, Any]]:
    """The id of an environment, and the arguments that make it again.

    Raises:
        SettingError: It was not made by `gymnasium.make`, or has other wrappers than those that this puts on.
    """
    spec = env.spec
    if spec is None or spec.additional_wrappers:
        wrong = "no environment as gymnasium.make makes it"
        hint = "register its class, with its wrappers, and give the id"
        raise SettingError("from_gymnasium", env, wrong=wrong, hint=hint)
    limit, registered = spec.max_episode_steps, spec_of(spec.id)
    given = {name: value for name, value in spec.kwargs.items() if registered.kwargs.get(name) != value}
    given.pop("render_mode", None)  # what is drawn is asked for later
    return spec.id, given | ({} if limit == registered.max_episode_steps else {"max_episode_steps": limit})


@functools.cache
def task_class(id: str) -> type[AbstractGymnasiumTask]:
    """The class of an id.

    Args:
        id: As `gymnasium.make` takes it, so perhaps behind the module that registers it: `module:id`.

    Raises:
        gymnasium.error.Error: There is none.
        ImportError: The module cannot be imported, or what it needs is not installed.
    """
    said = "An argument of the environment."
    fields = fields_of(AbstractGymnasiumTask, arguments_of(spec_of(id)), said)
    if id.startswith(ATARI):
        said = "Grey pictures of 84 x 84 pixels, four at once, each action held for four frames."
        fields[PREPROCESS] = setting(True, said, kw_only=True)
    arguments = tuple(name for name in fields if name != PREPROCESS)
    return class_of(AbstractGymnasiumTask, id, "Gymnasium", fields, arguments=arguments)

"""Our named environments under Gymnasium's ids: `gymnasium.make("lerax.gym:lerax/CartPole-v1")`.

The import registers them, as `import lerax.gym` does; Gymnasium has no other way to find those of a package.
"""

from typing import Any

import gymnasium

from lerax.env import to_gymnasium, to_gymnasium_vector
from lerax.env.gymnasium.single import GymnasiumEnv
from lerax.env.gymnasium.vector import GymnasiumVectorEnv

from .registry import ENV, ENVS

NAMESPACE = "lerax"


class Make:
    """Makes an environment of its name, as Gymnasium calls it."""

    metadata = GymnasiumEnv.metadata  # from which `gymnasium.make` knows that it draws

    def __call__(self, *, name: str, render_mode: str | None = None, **settings: Any) -> GymnasiumEnv:
        """An environment.

        Args:
            name: Its name.
            render_mode: "rgb_array", or None.
            settings: Arguments of its constructor.
        """
        return to_gymnasium(ENV.load(ENV.find(name))(**settings), render_mode=render_mode)


make = Make()


def make_vector(
    *,
    name: str,
    num_envs: int,
    autoreset_mode: Any = "NextStep",
    render_mode: str | None = None,
    **settings: Any,
) -> GymnasiumVectorEnv:
    """Many environments of a name, as `gymnasium.make_vec` asks for them.

    Args:
        name: Their name.
        num_envs: How many.
        autoreset_mode: When the next episode begins.
        render_mode: "rgb_array", or None.
        settings: Arguments of the environment's constructor.
    """
    env = ENV.load(ENV.find(name))(**settings)
    return to_gymnasium_vector(env, num_envs, autoreset_mode=autoreset_mode, render_mode=render_mode)


def register() -> None:
    """Registers all named environments that are not yet, as `lerax/` and their name.

    Episodes end by the environments' own limits, so that Gymnasium adds none. Its checks are left out: the
    environments refuse a step before `reset`, and actions that there are not.
    """
    for name in ENVS:
        if f"{NAMESPACE}/{name}" not in gymnasium.registry:
            gymnasium.register(
                f"{NAMESPACE}/{name}",
                entry_point="lerax.gym:make",
                vector_entry_point="lerax.gym:make_vector",
                order_enforce=False,
                disable_env_checker=True,
                kwargs={"name": name},
            )


register()

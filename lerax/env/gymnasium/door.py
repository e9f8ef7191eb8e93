"""Where Gymnasium is asked for, which takes long to import."""

from typing import TYPE_CHECKING, Any

from ..base_env import AbstractEnvLike

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import AutoresetMode

    from .single import GymnasiumEnv
    from .theirs import AbstractGymnasiumTask
    from .vector import GymnasiumVectorEnv


def from_gymnasium(id: "str | Env", **arguments: Any) -> "AbstractGymnasiumTask":
    """An environment that is registered with Gymnasium, stepped from compiled programs.

    It is no pure function of its state, see `lerax.env.hosted.AbstractHostedEnv`: all that trains, evaluates
    and draws works with it, what repeats steps does not.

    Args:
        id: Its id, as `gymnasium.make` takes it; `module:id` where a module has to be imported first. Or
            what `gymnasium.make` has made, which is made again as its `spec` says, and stays as it is.
        arguments: Those of the environment; and `max_episode_steps`, `workers` and `timeout`. For games of
            Atari (`ALE/...`) `preprocess`, too.

    Raises:
        gymnasium.error.Error: There is none of that id.
        ImportError: What it needs is not installed.
        SettingError: An argument is of a wrong type or out of range, there are no such spaces here, or the
            environment that is given was not made by `gymnasium.make` alone.
        TypeError: There is no such argument.
    """
    from .theirs import made_as, task_class

    if not isinstance(id, str):
        id, made = made_as(id)
        arguments = made | arguments
    return task_class(id)(**arguments)


def to_gymnasium(env: AbstractEnvLike, *, render_mode: str | None = None) -> "GymnasiumEnv":
    """An environment as a `gymnasium.Env`, which takes and gives NumPy's arrays.

    Its steps are compiled once for all environments that differ in nothing but their numbers.

    Args:
        env: The environment, wrapped or not.
        render_mode: "rgb_array" for pictures from `render`.

    Returns:
        A `lerax.env.gymnasium.single.GymnasiumEnv`.

    Raises:
        TypeError: It is no environment.
        EnvContractError: It breaks the contract.
        SettingError: There is no such render mode.
        SettingTypeError: Gymnasium has no such space.
        RenderError: Pictures are asked for, and it cannot be drawn.
    """
    from .single import GymnasiumEnv

    return GymnasiumEnv(env, render_mode)


def to_gymnasium_vector(
    env: AbstractEnvLike,
    num_envs: int,
    *,
    autoreset_mode: "AutoresetMode | str" = "NextStep",
    render_mode: str | None = None,
) -> "GymnasiumVectorEnv":
    """Many environments as a `gymnasium.vector.VectorEnv`, all stepped by one compiled program.

    Each is what `to_gymnasium` with its seed gives: with the seed s these are s, s + 1 and so on.

    Args:
        env: The environment, wrapped or not.
        num_envs: How many.
        autoreset_mode: When an environment whose episode has ended begins the next one: with the next step,
            whose action it ignores ("NextStep"); with the same step, which then gives the last observation
            in the infos as `final_obs` ("SameStep"); or when `reset` is called with a mask ("Disabled"). See
            https://farama.org/Vector-Autoreset-Mode.
        render_mode: "rgb_array" for pictures from `render`.

    Returns:
        A `lerax.env.gymnasium.vector.GymnasiumVectorEnv`.

    Raises:
        TypeError: It is no environment.
        EnvContractError: It breaks the contract.
        SettingError: There is no such mode, or there are less than one environment.
        SettingTypeError: Gymnasium has no such space.
        RenderError: Pictures are asked for, and it cannot be drawn.
    """
    from .vector import GymnasiumVectorEnv

    return GymnasiumVectorEnv(env, num_envs, autoreset_mode, render_mode)

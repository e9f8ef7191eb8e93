"""rejax: the whole training is one compiled program; environments from gymnax."""

from collections.abc import Callable
from typing import Any

import jax
from rejax import PPO
from rejax.evaluate import evaluate
from settings import ENV, EVALUATION_EPISODES, ZOO, Settings


def train(settings: Settings) -> Callable[[int], int]:
    """A function that trains with a seed and returns the environment steps it took."""
    compiled = jax.jit(_algorithm(settings).train)

    def run(seed: int) -> int:
        jax.block_until_ready(compiled(jax.random.key(seed)))
        return settings.steps

    return run


def solve(seed: int, *, full: bool) -> dict[str, Any]:
    """Trains and evaluates greedily; it can neither stop early nor let its rates fall."""
    del full
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    algorithm = _algorithm(ZOO)

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        state, _ = algorithm.train(key)

        def greedy(observation: jax.Array, key: jax.Array) -> jax.Array:
            params = state.actor_ts.params
            batch = observation[None]
            return algorithm.actor.apply(params, batch, method="_action_dist").mode()[0]

        env, params = algorithm.env, algorithm.env_params
        key = jax.random.fold_in(key, 1)
        return evaluate(greedy, key, env, params, EVALUATION_EPISODES, 500)[1].mean()

    return {"mean_return": float(run(jax.random.key(seed))), "steps": ZOO.steps}


def _algorithm(settings: Settings) -> PPO:
    algorithm = PPO.create(
        env=ENV,
        agent_kwargs={"activation": "tanh", "hidden_layer_sizes": settings.hidden},
        num_envs=settings.num_envs,
        num_steps=settings.num_steps,
        num_epochs=settings.num_epochs,
        num_minibatches=settings.num_minibatches,
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_eps=settings.clip,
        ent_coef=settings.entropy_coefficient,
        vf_coef=settings.value_coefficient,
        max_grad_norm=settings.max_grad_norm,
        total_timesteps=settings.timesteps,
        eval_freq=settings.timesteps,
        skip_initial_evaluation=True,
    )
    # The other contestants do not evaluate while they train.
    return algorithm.replace(eval_callback=lambda algorithm, state, key: ())

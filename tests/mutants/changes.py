"""Small changes in the arithmetic of lerax, each of which a test must notice."""

from pathlib import Path
from typing import NamedTuple


class Change(NamedTuple):
    """A change, and the tests that are to notice it.

    Attributes:
        file: Where, from the root of the repository.
        old: What stands there, once.
        new: What is to stand in its place.
        tests: The tests, as pytest names them: few and fast ones.
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def change(file: str, old: str, new: str, *tests: str) -> Change:
    """A change in `lerax/`, to be noticed by tests in `tests/`; their endings .py are left out."""
    named = [f"tests/{name}.py{colons}{rest}" for name, colons, rest in (t.partition("::") for t in tests)]
    return Change(f"lerax/{file}.py", old, new, tuple(named))


def misplaced(root: Path) -> list[str]:
    """What cannot be done: texts that do not stand in their file once, tests that are not there."""
    wrong = []
    for one in CHANGES:
        count = (root / one.file).read_text().count(one.old)
        if count != 1:
            wrong.append(f"{one.file}: {one.old!r} stands there {count} times")
        for test in one.tests:
            file, _, name = test.partition("::")
            text = (root / file).read_text() if (root / file).is_file() else ""
            if not text or (name and f"def {name.partition('[')[0]}(" not in text):
                wrong.append(f"{one.file}: {one.old!r} is to be noticed by a test that is not there ({test})")
    return wrong


RATE = "test_notebook::test_it_is_sent_at_a_bounded_rate_and_the_last_state_always"
NOTEBOOK_CURVE = "test_notebook::test_a_curve_that_rises_is_drawn_rising"
ROOM = "test_cli_report::test_videos_stay_under_the_limit_and_those_left_out_are_said"
SCREEN = "test_cli_report::test_a_screen_is_as_wide_as_a_terminal"
TEXTS = "test_cli_report::test_what_files_say_is_text"
CURVE = "test_study_curves::test_lines_are_interquartile_means_and_bands_hold_them"
SMOOTHED = "test_study_curves::test_smoothing_is_a_mean_over_a_window_and_is_said"
HALF = "test_study_curves::test_a_line_goes_as_far_as_half_of_its_runs"
KEPT = "test_study_curves::test_along_time_an_ended_run_keeps_its_last_value"
SCALED_SCORES = "test_study_compare::test_several_environments_are_scaled_and_weigh_the_same"
MORE_RUNS = "test_study_compare::test_how_many_more_seeds_are_counted_for_each"
PROFILE = "test_study_compare::test_two_trainings_compared"
RECOMMENDED = "test_bench::test_the_smallest_number_near_the_best_speed_is_recommended"
TIMED = "test_bench::test_parts_are_differences_of_times"
IQM = "test_study_statistics::test_the_interquartile_mean_is_scipys"
IMPROVED = "test_study_statistics::test_improvement_and_profile_are_those_of_rliable"
DRAWN = "test_study_statistics::test_an_interval_is_that_of_all_ways_to_draw"
WELCH = "test_study_statistics::test_welch_is_scipys"
TOLD_APART = "test_study_statistics::test_so_many_runs_tell_them_apart_as_often_as_is_said"
PUBLISHED = "test_study_statistics::test_runs_needed_are_those_of_published_tables"
AVERAGES = "test_moving_averages::test_logged_averages_equal_numpys"
ESTIMATORS = "test_moving::test_estimators_of_one_environment_are_sums_of_its_rewards"
BOUNDED = "test_distribution_forms::test_squashed_between_bounds_is_a_change_of_variables"
ENDS = "test_distribution_forms::test_bernoulli_variables_of_probabilities_are_scipys_at_the_ends_too"
GAE = "test_advantage::test_gae_is_the_discounted_sum_of_one_step_errors"
LOSS = "test_ppo::test_the_loss_is_that_of_the_paper"
GRADIENT = "test_ppo::test_longer_gradients_are_scaled_down_to_the_limit"
UPDATES = "test_ppo::test_updates_are_those_of_adam"
POLICY_GRADIENT = "test_on_policy::test_the_policy_gradient_is_that_of_the_paper"
WHOLE = "test_on_policy::test_returns_without_a_baseline_are_sums_up_to_the_episodes_end"
SEQUENCES = "test_memory::test_the_gradient_is_that_of_whole_sequences"
REMEMBERED = "test_memory::test_memories_are_those_of_the_rollout_while_the_policy_is_the_same"
TARGET_KL = "test_on_policy::test_updates_end_before_the_one_that_is_too_far"
Q_RETURNS = "test_on_policy::test_returns_of_pqn_are_those_of_the_paper"
RATES = "test_ppo::test_the_first_ratio_is_one_at_every_learning_rate"
FOLLOWED = "test_rollout::test_advantages_follow_terminations_and_truncations"
TOGETHER = "test_normalization::test_statistics_are_those_of_everything_together"
REWARDS = "test_normalization::test_rewards_are_divided_by_the_deviation_of_discounted_returns"
FIRST = "test_evaluate::test_only_the_first_episode_of_each_environment_counts"
ANYWHERE = "test_classic_control::test_steps_from_anywhere_equal_gymnasiums"
LOG_STD = "test_rollout::test_the_stored_action_is_unclipped_and_the_environments_is_clipped"
TIMES = "test_forward::test_speed_and_elapsed_time_come_from_the_iterations_own_times"
STARTS = "test_mujoco_parity::test_beginnings_are_distributed_as_gymnasiums"
BEGINNINGS = "test_classic_control::test_first_states_are_distributed_as_gymnasiums"
EPISODES = "test_mujoco_parity::test_episodes_equal_gymnasiums"
LAYER_NORM = "test_network::test_layers_are_normalised_before_their_activation"
EVERY_LAYER = "test_network::test_every_layers_inputs_are_renormalised"
RENORM = "test_network::test_batch_renormalisation_is_that_of_the_paper_with_a_plain_beginning"
BYTES = "test_spaces::test_a_box_of_bytes_is_gymnasiums"
OPTIONS = "test_mujoco_parity::test_arguments_mean_what_gymnasiums_do"
SPREAD = "test_training_videos::test_what_waits_and_what_is_taken_first_is_evenly_spread"
CATEGORICAL = "test_distributions::test_categorical_log_probabilities_and_entropy"
NORMAL = "test_distributions::test_normal_log_density_and_entropy_are_of_the_whole_array"

RING = "test_buffer::test_it_holds_the_last_steps_whole_however_often_the_ring_goes_round"
SUMS = "test_buffer::test_rewards_are_summed_until_the_episode_ends_as_by_a_loop"
DQN = "test_q_learning::test_loss_and_gradient_are_those_of_the_papers"
SCALED = "test_q_learning::test_gradients_are_scaled_down_to_the_longest_that_may_be"
COPIED = "test_q_learning::test_the_target_is_a_copy_made_after_every_so_many_updates"
SLOWLY = "test_q_learning::test_a_slow_target_goes_a_part_of_the_way"
DETERMINISTIC = "test_actor_critics::test_deterministic_losses_and_gradients_are_those_of_the_papers"
LATE = "test_actor_critics::test_the_policy_is_updated_late_and_its_gradient_is_not_computed_in_between"
EXPLORES = "test_actor_critics::test_exploration_stays_in_the_box"
SAC = "test_actor_critics::test_sac_losses_and_gradients_are_those_of_the_paper"
DISCRETE = "test_actor_critics::test_discrete_sac_losses_and_gradients_are_those_of_the_paper"
GYMNASIUM = "test_gymnasium::test_many_are_gymnasiums_vector_of_single_ones"
CROSSQ = "test_actor_critics::test_crossq_losses_and_gradients_are_those_of_the_paper"
ADAM = "test_actor_critics::test_optimizers_are_adam_with_the_papers_numbers"
OFTEN = "test_off_policy::test_updates_are_made_as_often_as_was_said"
FORBIDDEN = "test_off_policy::test_no_forbidden_action_is_done"
FALLS = "test_off_policy::test_epsilon_and_learning_rate_follow_their_schedules"
TOO_LARGE = "test_off_policy::test_a_buffer_that_does_not_fit_into_memory_is_refused_before_it_is_made"

MORE_TRIALS = "test_sweep::test_more_trials_go_on_with_the_same_sweep"
ROUNDS = "test_sweep::test_what_does_badly_is_pruned"
DEATHS = "test_sweep::test_a_trial_whose_process_dies_again_and_again_is_given_up"
DRAWN = "test_sweep::test_settings_of_random_trials_depend_on_their_number_alone"
SWEPT_SCORE = "test_sweep::test_a_score_is_that_of_the_study"
RANKED = "test_sweep::test_the_ranking_and_what_matters"
CHANGES = [
    change("advantage", "1.0 - terminals", "1.0 - dones", GAE),
    change("advantage", "gae_lambda * (1.0 - dones", "gae_lambda * (1.0 - terminals", GAE),
    change("advantage", "gamma * gae_lambda *", "gamma *", GAE),
    change("advantage", "gamma * next_values", "next_values", GAE),
    change("advantage", "reverse=True", "reverse=False", GAE),
    change("algorithm/on_policy/ppo", "1 - clip, 1 + clip", "1 - clip, 1 + 2 * clip", LOSS),
    change("algorithm/on_policy/ppo", "jnp.minimum(ratio", "jnp.maximum(ratio", LOSS),
    change("algorithm/on_policy/ppo", "jnp.maximum(error", "jnp.minimum(error", LOSS),
    change("algorithm/on_policy/actor_critic", "entropy_loss = -jnp", "entropy_loss = jnp", LOSS),
    change("algorithm/on_policy/actor_critic", "0.5 * jnp.mean(squared", "jnp.mean(squared", LOSS),
    change("algorithm/on_policy/batch", "(jnp.sqrt(variance) + 1e-8)", "(variance + 1e-8)", LOSS),
    change("algorithm/on_policy/ppo", "ratio - 1 - log_ratio", "-log_ratio", LOSS),
    change("algorithm/on_policy/ppo", "self.clip_schedule, self", "'constant', self", LOSS),
    change(
        "algorithm/on_policy/actor_critic", "self.value_weight *", "self.entropy_loss_coefficient *", LOSS
    ),
    change(
        "algorithm/on_policy/actor_critic", "jnp.roll(steps.done, 1", "jnp.roll(steps.done, 0", REMEMBERED
    ),
    change("algorithm/on_policy/batch", "where(one.begins,", "where(True,", SEQUENCES),
    change("algorithm/on_policy/base", "*x.shape[1:]).swapaxes(0, 1)", "*x.shape[1:])", REMEMBERED),
    change("policy/gru", "memory, (memory[0], memory[1])", "memory, (memory[1], memory[0])", SEQUENCES),
    change("algorithm/on_policy/batch", "truncated & ~steps.", "truncated & steps.", FOLLOWED),
    change("algorithm/on_policy/batch", "values[1:]),", "values[:-1]),", FOLLOWED),
    change(
        "algorithm/on_policy/actor_critic", "advantage, advantage + value", "advantage, advantage", FOLLOWED
    ),
    change("algorithm/on_policy/base", "eps=1e-5", "eps=1e-8", GRADIENT),
    change("algorithm/optimizer", "jnp.minimum(1.0, max", "jnp.maximum(1.0, max", GRADIENT),
    change(
        "algorithm/on_policy/base",
        "return unravel(vector), opt_state, log",
        "return unravel(vector), self.make_optimizer().init(vector), log",
        UPDATES,
    ),
    change(
        "algorithm/on_policy/update",
        "packing.unpack({name: array[rows]",
        "packing.unpack({name: array[rows // 2]",
        "test_ppo::test_a_pass_takes_every_sample_once",
    ),
    change(
        "algorithm/on_policy/base",
        "size // self.num_batches),",
        "size // self.num_batches)[:1],",
        "test_ppo::test_a_pass_takes_every_sample_once",
    ),
    change(
        "algorithm/on_policy/actor_critic", "-jnp.mean(log_prob *", "jnp.mean(log_prob *", POLICY_GRADIENT
    ),
    change("algorithm/on_policy/reinforce", "if self.baseline else 0.0", "", POLICY_GRADIENT),
    change(
        "algorithm/on_policy/reinforce", "steps.done, steps.done,", "steps.terminal, steps.terminal,", WHOLE
    ),
    change(
        "algorithm/on_policy/reinforce",
        "returns, returns, whole /",
        "returns, returns, 1 + 0 * whole /",
        WHOLE,
    ),
    change(
        "algorithm/on_policy/a2c",
        "eps_in_sqrt=False",
        "eps_in_sqrt=True",
        "test_on_policy::test_rmsprop_is_that_of_its_authors",
    ),
    change("algorithm/on_policy/ppo", "> 1.5 * target", "> 3.0 * target", TARGET_KL),
    change("algorithm/on_policy/update", "tree.where(over, state, after), over", "after, over", TARGET_KL),
    change("algorithm/on_policy/update", "jnp.sum(column * made) /", "jnp.sum(column) / 20 +", TARGET_KL),
    change(
        "algorithm/on_policy/batch",
        "average(weight * x**2)",
        "average(x**2)",
        "test_on_policy::test_weights_count_in_mean_and_deviation",
    ),
    change("algorithm/on_policy/pqn", "where=mask,", "where=None,", Q_RETURNS),
    change("algorithm/on_policy/pqn", "above + value)", "above)", Q_RETURNS),
    change("algorithm/on_policy/pqn", "gae_lambda=self.q_lambda", "gae_lambda=1.0", Q_RETURNS),
    change(
        "algorithm/on_policy/pqn",
        "0.5 * jnp.mean((value",
        "jnp.mean((value",
        "test_on_policy::test_the_loss_of_pqn_is_half_the_squared_error_of_what_was_done",
    ),
    change(
        "algorithm/exploration",
        "progress / fraction",
        "progress",
        "test_on_policy::test_pqn_explores_less_and_less_and_its_policy_keeps_the_last_epsilon",
    ),
    change(
        "schedule",
        "0.5 * (1.0 + jnp.cos(",
        "0.5 * (1.0 - jnp.cos(",
        "test_schedule::test_schedules_have_their_closed_forms",
    ),
    change(
        "algorithm/on_policy/batch",
        ">> low << low",
        ">> low",
        "test_advantage::test_each_shuffle_is_a_permutation",
    ),
    change(
        "algorithm/on_policy/batch",
        "low > 16",
        "low > 32",
        "test_advantage::test_of_more_rows_than_random_words_none_keep_their_order",
    ),
    change(
        "algorithm/on_policy/batch",
        "1.0 - rest /",
        "rest /",
        "test_advantage::test_explained_variance",
    ),
    change("algorithm/on_policy/base", "(self.learning_rate_schedule,", "('constant',", RATES),
    change("schedule", "left = 1.0 - done if", "left = done if", RATES),
    change(
        "algorithm/base_algorithm",
        "return -(-total_timesteps //",
        "return (total_timesteps //",
        "test_loop::test_steps_are_rounded_up_to_whole_iterations",
    ),
    change(
        "algorithm/hooks",
        "state.total_iterations > 0, state",
        "state.total_iterations < 0, state",
        "test_pieces::test_schedules_fall_once_however_training_is_cut",
    ),
    change(
        "algorithm/hooks",
        "most // steps, most, total *",
        "most // steps, most, 1 + total *",
        "test_pieces::test_callbacks_are_told_the_length_of_the_whole_training",
    ),
    change(
        "algorithm/loop",
        "*([due - done]",
        "*([due - done + 1]",
        "test_loop::test_host_methods_are_called_at_exactly_the_due_iterations",
    ),
    change("algorithm/on_policy/reward_scale", "returns * ~now[1], returns", "returns, returns", REWARDS),
    change("algorithm/on_policy/reward_scale", "gamma * returns + now", "returns + now", REWARDS),
    change("statistics", "part * (1 - part)", "part", TOGETHER),
    change("statistics", "self.mean + change * part", "self.mean + change", TOGETHER),
    change(
        "statistics",
        "(value - mean) *",
        "value *",
        "test_normalization::test_normalized_values_have_mean_0_and_deviation_1_and_are_clipped",
    ),
    change(
        "statistics",
        "jnp.clip(value * lax",
        "(value * lax",
        "test_normalization::test_normalized_values_have_mean_0_and_deviation_1_and_are_clipped",
    ),
    change("callback/episode", "alpha, 1.0) * ctx.done", "alpha, alpha) * ctx.done", AVERAGES),
    change(
        "callback/episode",
        "jnp.where(self.episode_done, 0.0, self",
        "jnp.where(self.episode_done, ctx.reward, self",
        AVERAGES,
    ),
    change(
        "callback/episode",
        "jnp.where(self.episode_done, 0, self",
        "jnp.where(self.episode_done, 1, self",
        AVERAGES,
    ),
    change("callback/episode", "/ jnp.maximum(count, 1)", "/ self.begun.size", AVERAGES),
    change(
        "callback/records",
        "done * per_iteration)",
        "done)",
        "test_forward::test_a_training_that_goes_on_from_an_iteration_counts_on",
    ),
    change(
        "callback/records",
        "self._base + iteration *",
        "iteration *",
        "test_logging_callback::test_steps_go_on_over_several_trainings",
    ),
    change(
        "callback/records",
        "iterations = np.max(",
        "iterations = np.min(",
        "test_forward::test_of_mapped_lanes_the_foremost_that_runs_counts",
    ),
    change(
        "callback/records",
        "float(np.mean(found))",
        "float(np.sum(found))",
        "test_forward::test_of_mapped_lanes_mean_and_deviation_are_logged",
    ),
    change(
        "callback/records",
        "float(np.std(found))",
        "float(np.var(found))",
        "test_forward::test_of_mapped_lanes_mean_and_deviation_are_logged",
    ),
    change(
        "callback/base_callback",
        "(iteration // interval + 1)",
        "(iteration // interval)",
        "test_eval_callback::test_every_n_iterations_on_the_same_episodes_and_the_best_is_kept",
    ),
    change(
        "callback/evaluation",
        "mean_return > self._best",
        "mean_return < self._best",
        "test_eval_callback::test_every_n_iterations_on_the_same_episodes_and_the_best_is_kept",
    ),
    change("callback/clips", "return there[i + 1] - there[i - 1]", "return there[i + 1]", SPREAD),
    change("callback/clips", "if clip.number]", "]", SPREAD),
    change("evaluate", "jnp.where(over, 0.0, steps.reward)", "steps.reward", FIRST),
    change("evaluate", "lengths + ~over", "lengths + 1", FIRST),
    change(
        "evaluate",
        "(c[0] < max_steps)",
        "(c[0] <= max_steps)",
        "test_evaluate::test_an_episode_that_does_not_end_is_cut_and_reported",
    ),
    change(
        "env/step",
        "chosen = tree.where(done, next_one",
        "chosen = tree.where(terminal, next_one",
        "test_cartpole::test_advance_tells_both_ends_apart_when_they_fall_together",
    ),
    change(
        "env/step",
        "next_observation=next_observation,",
        "next_observation=env.observation(following, key=keys[5]),",
        "test_cartpole::test_advance_keeps_the_last_observation_of_an_episode_and_begins_the_next",
    ),
    change(
        "env/timed",
        ">= self.max_episode_steps",
        "> self.max_episode_steps",
        "test_cartpole::test_advance_tells_both_ends_apart_when_they_fall_together",
    ),
    change(
        "env/gymnasium/vector",
        "rewards[over], terminal[over], truncated[over] = 0, False, False",
        "terminal[over], truncated[over] = False, False",
        GYMNASIUM,
    ),
    change(
        "env/gymnasium/vector",
        "rewards[over], terminal[over], truncated[over] = 0, False, False",
        "rewards[over] = 0",
        GYMNASIUM,
    ),
    change(
        "env/gymnasium/vector",
        "self._begin(self._ended)\n        observations, infos = self._seen()",
        "observations, infos = self._seen()",
        GYMNASIUM,
    ),
    change("env/gymnasium/vector", "range(seed, seed + self.num_envs)", "[seed] * self.num_envs", GYMNASIUM),
    change(
        "env/gymnasium/vector",
        "jax.tree.map(pick, jax.device_get(seen), self._now)",
        "jax.device_get(seen)",
        GYMNASIUM,
    ),
    change(
        "env/gymnasium/programs",
        "jnp.where(where, words, live.words)",
        "live.words",
        GYMNASIUM,
    ),
    change("env/gymnasium/programs", "jnp.where(where, 0, live.steps)", "live.steps", GYMNASIUM),
    change(
        "env/gymnasium/programs",
        "Seen(taken.next_observation, mask)",
        "Seen(taken.observation, mask)",
        "test_gymnasium::test_last_observations_are_those_after_the_action",
    ),
    change(
        "env/gymnasium/programs",
        "jr.fold_in(jr.key(words[0]), words[1])",
        "jr.key(words[1])",
        "test_gymnasium::test_steps_are_those_of_advance",
    ),
    change(
        "wrapper/time_limit",
        ">= self.max_episode_steps",
        "> self.max_episode_steps",
        "test_wrappers::test_a_time_limit_truncates_every_episode_after_its_steps",
    ),
    change(
        "wrapper/time_limit",
        "return truncated | (",
        "return (",
        "test_wrappers::test_a_shorter_limit_of_the_environment_itself_still_counts",
    ),
    change(
        "wrapper/action",
        "least + part * (most - least)",
        "least + part * most",
        "test_wrappers::test_rescaled_actions_are_gymnasiums",
    ),
    change(
        "wrapper/action",
        "space.clip(jnp.asarray(least + part * (most - least)))",
        "jnp.asarray(least + part * (most - least))",
        "test_wrappers::test_an_action_beyond_the_bounds_is_rescaled_to_the_nearest_one",
    ),
    change(
        "wrapper/reward",
        "self.scale * reward",
        "self.scale + reward",
        "test_wrappers::test_a_scaled_reward_is_a_multiple_of_the_environments",
    ),
    change("distribution/normal", "noise**2 - self.log_scale", "standardised**2", NORMAL),
    change("distribution/normal", "math.log(2 * math.pi * math.e)", "math.log(2 * math.pi)", NORMAL),
    change("distribution/categorical", "-jnp.sum(jnp.exp", "jnp.sum(jnp.exp", CATEGORICAL),
    change(
        "distribution/categorical",
        "self.log_probs + noise",
        "self.log_probs - noise",
        "test_distributions::test_categorical_samples_have_the_given_frequencies",
    ),
    change(
        "network/initialization",
        "math.sqrt(2) if",
        "math.sqrt(3) if",
        "test_network::test_initial_gains_and_biases_are_those_of_ppo",
    ),
    change(
        "distribution/squashed_normal",
        "self.normal.log_prob_of_noise(noise) - self._log_slope(before)",
        "self.normal.log_prob_of_noise(noise)",
        "test_distributions::test_squashed_log_density_is_that_of_a_change_of_variables",
    ),
    change(
        "distribution/squashed_normal",
        "softplus(-2 * x)",
        "softplus(2 * x)",
        "test_distributions::test_squashed_log_density_is_that_of_a_change_of_variables",
    ),
    change("distribution/squashed_normal", "slope + jnp.log(", "slope - jnp.log(", BOUNDED),
    change("distribution/bernoulli", "jnp.log1p(-", "jnp.log1p(", ENDS),
    change("advantage", "rewards + discount *", "rewards +", ESTIMATORS),
    change("network/normalization", "variance + 1e-5", "variance + 1e-1", LAYER_NORM),
    change("network/normalization", "factor = r / deviation", "factor = 1 / deviation", RENORM),
    change("network/normalization", "d * self.scale + self.shift", "self.shift", RENORM),
    change(
        "network/normalization",
        "return factor, self.shift - mean",
        "return factor, self.shift + mean",
        RENORM,
    ),
    change("network/mlp", "offset @ weight + bias", "offset @ weight * factor[0] + bias", EVERY_LAYER),
    change("network/normalization", "moments.count >= self.warm_up", "moments.count > self.warm_up", RENORM),
    change("network/normalization", "(1 - self.momentum) * new", "self.momentum * new", RENORM),
    change(
        "network/normalization",
        "r, d = lax.stop_gradient((jnp.where(warm, r, 1.0), jnp.where(warm, d, 0.0)))",
        "r, d = jnp.where(warm, r, 1.0), jnp.where(warm, d, 0.0)",
        "test_network::test_gradients_take_the_corrections_of_batch_renormalisation_for_constants",
    ),
    change(
        "network/network",
        "return x / 255",
        "return x / 256",
        "test_network::test_bytes_are_divided_by_255_with_and_without_convolutions",
    ),
    change(
        "network/encoder",
        "(length - one.size) // one.stride + 1",
        "length // one.stride",
        "test_network::test_auto_takes_the_largest_encoder_that_fits",
    ),
    change(
        "policy/q",
        "advantages - jnp.mean(advantages)",
        "advantages",
        "test_policies::test_dueling_heads_give_a_value_and_centred_advantages",
    ),
    change(
        "policy/q",
        "jnp.where(action_mask, values, -jnp.inf)",
        "values",
        "test_policies::test_only_allowed_actions_are_taken",
    ),
    change(
        "policy/box",
        "middle + half * unit",
        "middle + 0.5 * half * unit",
        "test_policies::test_actions_reach_the_bounds_and_never_leave_the_box",
    ),
    change("space/box", "ends = np.int32(high) + 1", "ends = np.int32(high)", BYTES),
    change(
        "network/mlp",
        "x @ weight + bias",
        "x @ weight",
        "test_network::test_a_perceptron_is_matrix_products_with_an_activation_between_them",
    ),
    change(
        "policy/actor_critic",
        "flat_size, 0.01)",
        "flat_size, 1.0)",
        "test_rollout::test_a_mask_is_kept_with_its_action",
    ),
    change(
        "space/box",
        "finite_low + tail",
        "finite_low - tail",
        "test_spaces::test_a_box_draws_as_gymnasiums_does",
    ),
    change(
        "space/integers",
        "value <= high",
        "value < high",
        "test_spaces::test_a_discrete_space_contains_its_numbers_only",
    ),
    change(
        "space/discrete",
        "return index + self.start",
        "return index",
        "test_action_kinds::test_a_q_policy_values_what_it_does_wherever_choices_begin",
    ),
    change(
        "distribution/categorical",
        "expand_dims(value, -1) - self.start",
        "expand_dims(value, -1)",
        "test_distributions::test_choices_that_begin_elsewhere_are_the_same_ones",
    ),
    change(
        "distribution/multi_categorical",
        "== value[..., i : i + 1]",
        "== value[..., :1]",
        "test_distributions::test_several_choices_are_as_probable_as_each_of_them_together",
    ),
    change(
        "distribution/bernoulli",
        "== 1, logits, -logits",
        "== 1, -logits, logits",
        "test_distributions::test_bernoulli_variables_are_scipys",
    ),
    change(
        "policy/mlp",
        "jnp.where(measured, scaled, flat)",
        "scaled",
        "test_action_kinds::test_choices_among_observations_are_not_normalized",
    ),
    change(
        "tree",
        "offsets[dtype] = start + size",
        "offsets[dtype] = size",
        "test_tree::test_packing_gives_back_every_bit",
    ),
    change(
        "checkpoints",
        "<= steps][: -self.keep]",
        "<= steps][: -self.keep - 1]",
        "test_checkpoints::test_the_newest_and_the_best_are_kept_and_their_segments",
    ),
    change(
        "checkpoints",
        "if steps_of(path) <= steps",
        "if steps_of(path) <= 2 * steps",
        "test_checkpoints::test_later_ones_of_an_earlier_try_do_not_push_out_newer_ones",
    ),
    change(
        "archive/segments",
        "looks != self._whole.get(name)",
        "name not in self._whole",
        "test_checkpoints::test_a_damaged_segment_is_written_again",
    ),
    change(
        "archive/reading",
        "entry.size not in (None, sizes[entry.name])",
        "entry.size is None",
        "test_archive::test_a_size_that_does_not_go_with_the_shape_is_refused_before_anything_is_read",
    ),
    change(
        "archive/reading",
        "left -= seen[name]",
        "left = seen[name]",
        "test_checkpoints::test_what_was_saved_is_loaded",
    ),
    change("env/classic_control/cartpole", "4 / 3 - POLE_MASS", "4 / 3 + POLE_MASS", f"{ANYWHERE}[CartPole]"),
    change(
        "env/classic_control/cartpole", "HALF_LENGTH * spin**2", "HALF_LENGTH * spin", f"{ANYWHERE}[CartPole]"
    ),
    change("env/classic_control/pendulum", "0.1 * spin**2", "0.2 * spin**2", f"{ANYWHERE}[Pendulum]"),
    change(
        "env/classic_control/pendulum",
        "MASS * LENGTH**2 / 3",
        "MASS * LENGTH**2 / 2",
        f"{ANYWHERE}[Pendulum]",
    ),
    change(
        "env/classic_control/mountain_car",
        "jnp.maximum(velocity, 0.0)",
        "velocity",
        f"{ANYWHERE}[MountainCar]",
    ),
    change(
        "env/classic_control/mountain_car",
        "(position >= self.goal_position) &",
        "(position >= self.goal_position) |",
        f"{ANYWHERE}[MountainCar]",
    ),
    change(
        "env/classic_control/continuous_mountain_car",
        "- 0.1 * action",
        "- 0.2 * action",
        f"{ANYWHERE}[ContinuousMountainCar]",
    ),
    change("env/classic_control/acrobot", "k1 + 2 * k2 + 2 * k3", "k1 + 2 * k2 + k3", f"{ANYWHERE}[Acrobot]"),
    change(
        "env/classic_control/acrobot",
        "self.terminal(next_state)",
        "self.terminal(state)",
        f"{ANYWHERE}[Acrobot]",
    ),
    change("env/mujoco/running", "* moved[0] / data.dt", "* moved[0]", f"{EPISODES}[HalfCheetah]"),
    change("env/mujoco/half_cheetah", "reward - cost", "reward + cost", f"{EPISODES}[HalfCheetah]"),
    change("env/mujoco/swimmer", "reward - cost", "reward", f"{EPISODES}[Swimmer]"),
    change("env/mujoco/hopper", "* healthy - cost", "* healthy + cost", f"{EPISODES}[Hopper]"),
    change(
        "env/mujoco/hopper",
        "data.qpos[2:], data.qvel",
        "data.qpos[1:], data.qvel",
        f"{OPTIONS}[Hopper-options6]",
    ),
    change("env/mujoco/hopper", "(least < angle)", "(least < most)", f"{OPTIONS}[Hopper-options5]"),
    change("env/mujoco/hopper", "(self.healthy_z_range[0] < z)", "(0 < z)", f"{OPTIONS}[Hopper-options21]"),
    change("env/mujoco/hopper", "(angle < most)", "(angle > -most)", f"{OPTIONS}[Hopper-options19]"),
    change("env/mujoco/walker2d", "(angle < most)", "(angle > -most)", f"{OPTIONS}[Walker2d-options20]"),
    change("env/mujoco/walker2d", "(least < angle)", "(least < most)", f"{OPTIONS}[Walker2d-options18]"),
    change("env/mujoco/walker2d", "(z < high)", "(z > low)", f"{OPTIONS}[Walker2d-options17]"),
    change("env/mujoco/ant", "self._forces(data) ** 2", "data.cfrc_ext ** 2", f"{EPISODES}[Ant]"),
    change(
        "env/mujoco/humanoid",
        "jnp.clip(impact, *self.contact_cost_range)",
        "impact",
        f"{OPTIONS}[Humanoid-options8]",
    ),
    change(
        "env/mujoco/humanoid_standup", "_range) + 1, False", "_range), False", f"{EPISODES}[HumanoidStandup]"
    ),
    change("env/mujoco/reacher", "* distance - cost", "* distance", f"{EPISODES}[Reacher]"),
    change(
        "env/mujoco/reacher",
        "REACH * jnp.sqrt(",
        "REACH * (",
        "test_mujoco_parity::test_a_target_lies_anywhere_within_reach_alike",
    ),
    change(
        "env/mujoco/pusher", "linalg.norm(thing - tip)", "linalg.norm(thing - goal)", f"{EPISODES}[Pusher]"
    ),
    change(
        "env/mujoco/pusher",
        "> LEAST_WAY",
        "> 0",
        "test_mujoco_parity::test_an_object_does_not_begin_at_its_goal",
    ),
    change(
        "env/mujoco/inverted_pendulum", "abs(data.qpos[1])", "data.qpos[1]", f"{EPISODES}[InvertedPendulum]"
    ),
    change(
        "env/mujoco/inverted_pendulum", "1.0 - fallen, fallen", "1.0, fallen", f"{EPISODES}[InvertedPendulum]"
    ),
    change(
        "env/mujoco/inverted_double_pendulum",
        "5e-3 * second**2",
        "1e-3 * second**2",
        f"{EPISODES}[InvertedDoublePendulum]",
    ),
    change(
        "backend/lines",
        "self.at += sum(map(len, lines[:-1]))",
        "self.at += sum(map(len, lines))",
        "test_csv::test_two_records_of_one_step_share_a_row",
    ),
    change(
        "backend/lines",
        'self.rows[-1]["step"] != step',
        "True",
        "test_backends::test_jsonl_has_one_line_for_what_is_logged_of_one_step",
    ),
    change(
        "backend/base",
        "// FRAMES_BYTES) + 1",
        "// FRAMES_BYTES)",
        "test_training_videos::test_a_gif_that_would_be_too_large_is_smaller",
    ),
    change(
        "render/gif",
        "max(fps / GIF_FPS, 1)",
        "fps / GIF_FPS",
        "test_video::test_a_gif_holds_its_frames_and_their_time",
    ),
    change(
        "render/gif",
        "round(100 * i / fps)",
        "int(100 / fps) * i",
        "test_video::test_a_gif_holds_its_frames_and_their_time",
    ),
    change(
        "env/step",
        "terminal | truncated\n    with",
        "terminal\n    with",
        "test_cartpole::test_advance_tells_both_ends_apart_when_they_fall_together",
    ),
    change(
        "env/classic_control/cartpole",
        "minval=-0.05, maxval=0.05",
        "minval=-0.05, maxval=0.06",
        BEGINNINGS + "[CartPole]",
    ),
    change(
        "env/classic_control/cartpole",
        "return -self.terminal(next_state)",
        "return -self.terminal(state)",
        "test_classic_control::test_arguments_mean_what_gymnasiums_do",
    ),
    change(
        "env/classic_control/pendulum",
        "jnp.clip(spin + TIME_STEP * spin_rate, -MAX_SPEED, MAX_SPEED)",
        "spin + TIME_STEP * spin_rate",
        f"{ANYWHERE}[Pendulum]",
    ),
    change(
        "env/classic_control/pendulum",
        "jnp.array([math.pi, 1.0]",
        "jnp.array([math.pi, 2.0]",
        BEGINNINGS + "[Pendulum]",
    ),
    change(
        "env/classic_control/acrobot",
        "drive = drive - CENTRE",
        "drive = drive + CENTRE",
        f"{ANYWHERE}[Acrobot]",
    ),
    change(
        "env/classic_control/mountain_car",
        "minval=-0.6, maxval=-0.4",
        "minval=-0.6, maxval=-0.5",
        BEGINNINGS + "[MountainCar]",
    ),
    change(
        "env/classic_control/continuous_mountain_car",
        "jnp.asarray(action[0], jnp.float32), -1.0, 1.0",
        "jnp.asarray(action[0], jnp.float32), -2.0, 2.0",
        f"{ANYWHERE}[ContinuousMountainCar]",
    ),
    change("env/mujoco/walker2d", "(low < z)", "(0 < z)", f"{OPTIONS}[Walker2d-options22]"),
    change("env/mujoco/ant", "(low <= z)", "(0 <= z)", f"{OPTIONS}[Ant-options23]"),
    change("env/mujoco/ant", "(z <= high)", "(z <= 9)", f"{OPTIONS}[Ant-options0]"),
    change("env/mujoco/humanoid", "(low < z)", "(0 < z)", f"{EPISODES}[Humanoid]"),
    change("env/mujoco/humanoid", "(z < high)", "(z < 9)", f"{OPTIONS}[Humanoid-options7]"),
    change(
        "env/mujoco/humanoid_standup",
        "data.qpos[2] / data.model.opt.timestep",
        "data.qpos[2] / data.dt",
        f"{EPISODES}[HumanoidStandup]",
    ),
    change(
        "env/mujoco/inverted_double_pendulum",
        "y <= LEAST_HEIGHT",
        "y <= 1.1",
        f"{EPISODES}[InvertedDoublePendulum]",
    ),
    change(
        "env/mujoco/running",
        "jnp.clip(data.qvel, -most_speed, most_speed)",
        "data.qvel",
        f"{OPTIONS}[Hopper-options24]",
    ),
    change(
        "env/mujoco/steppers",
        "mj_step(model, data, nstep=frame_skip)",
        "mj_step(model, data, nstep=frame_skip + 1)",
        f"{EPISODES}[Ant]",
    ),
    change(
        "env/mujoco/steppers",
        "self._batch.step(nstep=frame_skip)",
        "self._batch.step(nstep=frame_skip + 1)",
        f"{EPISODES}[Hopper]",
    ),
    change(
        "env/mujoco/native",
        "self._model.qpos0 + offsets",
        "offsets",
        "test_mujoco_parity::test_beginnings_are_distributed_as_gymnasiums[Hopper]",
    ),
    change("env/mujoco/data", "opt.timestep * frame_skip", "opt.timestep", f"{EPISODES}[Swimmer]"),
    change(
        "policy/mlp",
        "scaled = self.seen.normalize(flat, MOST)",
        "scaled = flat",
        "test_normalization::test_normalizing_makes_a_policy_blind_to_shift_and_scale",
    ),
    change(
        "policy/actor_critic",
        "distribution.mode() if key is None",
        "distribution.sample(key=jr.key(0)) if key is None",
        "test_evaluate::test_deterministic_means_the_most_probable_action",
    ),
    change(
        "callback/stop",
        "jnp.all(statistics.begun) & reached",
        "reached",
        "test_stop::test_a_return_of_some_environments_only_does_not_end_it",
    ),
    change(
        "callback/stop",
        "average_return) >= self",
        "average_return) >= 0.5 * self",
        "test_stop::test_a_return_that_is_reached_ends_training",
    ),
    change(
        "callback/stop",
        "jnp.where(good, parameters, ctx.state.parameters)",
        "parameters",
        "test_stop::test_a_nan_ends_training_in_its_iteration_and_the_last_good_policy_is_kept",
    ),
    change(
        "callback/episode",
        "step=self.step + 1",
        "step=self.step + 2",
        "test_tensorboard_callback::test_the_step_state_follows_an_episode",
    ),
    change("callback/clips", "abs(clip.number - n) for n", "clip.number - n for n", SPREAD),
    change(
        "callback/progress_bar",
        "completed=done * self._per_iteration",
        "completed=done",
        "test_progress_bar::test_the_title_and_the_steps_and_the_cursor",
    ),
    change(
        "evaluate",
        "(count + 1, standing), (standing",
        "(count, standing), (standing",
        "test_record::test_an_episode_is_the_beginning_of_the_rollout_with_its_key",
    ),
    change(
        "evaluate",
        "if ended or done ==",
        "if ended or 0 ==",
        "test_record::test_an_episode_without_an_end_is_cut",
    ),
    change(
        "player",
        "steps -= self.played[-1].length",
        "steps -= self.played[-1].length + 1",
        "test_record::test_steps_are_played_in_as_many_episodes_as_they_take",
    ),
    change(
        "record",
        "one = last // 2",
        "one = last // 3",
        "test_record::test_a_picture_is_the_middle_of_an_episode",
    ),
    change(
        "player",
        "total + step.reward, step.done",
        "step.reward, step.done",
        "test_record::test_a_video_shows_every_state_of_an_episode",
    ),
    change(
        "render/grid",
        "i % columns * width",
        "i * width % columns",
        "test_caption::test_many_streams_stand_in_rows",
    ),
    change(
        "render/grid",
        "self._items[number // self._stride]",
        "self._items[number]",
        "test_caption::test_of_a_long_stream_evenly_spread_items_are_kept",
    ),
    change(
        "render/base_renderer", "self.height - y if", "y if", "test_render::test_a_transform_places_points"
    ),
    change(
        "render/base_renderer",
        "min(width / self.width, height",
        "max(width / self.width, height",
        "test_render::test_a_fitted_transform_shows_the_same_part_centred_and_undistorted",
    ),
    change(
        "render/video",
        "width + width % 2, height",
        "width, height",
        "test_video::test_writing_tells_what_the_file_holds",
    ),
    change(
        "backend/csv",
        '[""] * len(new)',
        '[""]',
        "test_csv::test_two_tags_may_come_later_together",
    ),
    change(
        "backend/chart",
        "sum(values[start:stop]) / (stop - start)",
        "sum(values[start:stop])",
        "test_chart::test_a_sparkline_shows_the_whole_curve",
    ),
    change(
        "backend/chart",
        "self.points[1::2]",
        "self.points[1:]",
        "test_chart::test_a_history_keeps_the_whole_curve_in_bounded_memory",
    ),
    change(
        "backend/dashboard",
        "(shown.total - shown.step) / rate",
        "shown.total / rate",
        "test_dashboard::test_what_is_not_known_is_not_shown",
    ),
    change(
        "backend/dashboard",
        "whole // 60 % 60",
        "whole // 60",
        "test_dashboard::test_a_clock_has_hours_minutes_and_seconds",
    ),
    change("backend/notebook", "self._sent + SECONDS", "self._sent - SECONDS", RATE),
    change("backend/notebook", "(high - y) / (high - low)", "(y - low) / (high - low)", NOTEBOOK_CURVE),
    change("callback/run_log", "iterations * self._steps.per_iteration", "iterations", TIMES),
    change("callback/records", "times - self._began", "times", TIMES),
    change("callback/records", "times.item(-1) - self._last, ", "times.item(-1) - self._began, ", TIMES),
    change(
        "algorithm/on_policy/base",
        "trained.after_rollout(batch.observation)",
        "trained.after_rollout(batch.observation[1:])",
        "test_normalization::test_a_policy_learns_the_statistics_of_all_that_it_saw",
    ),
    change(
        "collect",
        "env.action_space.clip(action) if",
        "action if",
        "test_rollout::test_the_stored_action_is_unclipped_and_the_environments_is_clipped",
    ),
    change(
        "collect",
        "        observation=standing.observation,",
        "        observation=after.next_observation,",
        FOLLOWED,
    ),
    change(
        "algorithm/base_algorithm",
        "state.iteration_count.astype(",
        "(state.iteration_count + 1).astype(",
        RATES,
    ),
    change(
        "algorithm/hooks",
        "state.iteration_count + 1)",
        "state.iteration_count + 2)",
        "test_loop::test_training_stops_at_exactly_the_iteration_that_says_so",
    ),
    change(
        "algorithm/hooks",
        "jnp.maximum(state.total_iterations, total)",
        "total",
        "test_pieces::test_callbacks_are_told_the_length_of_the_whole_training",
    ),
    change("algorithm/on_policy/reward_scale", "MOST_REWARD = 10.0", "MOST_REWARD = 1.0", REWARDS),
    change(
        "policy/actor_critic",
        "Normal(output.reshape(self.action_space.shape), self.log_std)",
        "Normal(output.reshape(self.action_space.shape), 2 * self.log_std)",
        LOG_STD,
    ),
    change(
        "distribution/normal",
        "jnp.exp(self.log_scale) * noise",
        "self.log_scale * noise",
        "test_distributions::test_normal_samples_have_the_given_distribution",
    ),
    change(
        "distribution/categorical",
        "jnp.where(mask, given, jnp.finfo",
        "jnp.where(~mask, given, jnp.finfo",
        "test_distributions::test_a_mask_leaves_only_what_is_allowed",
    ),
    change(
        "space/box",
        "finite_low * (1 - part) + finite_high * part",
        "finite_low * part + finite_high * part",
        "test_spaces::test_a_box_draws_as_gymnasiums_does",
    ),
    change(
        "space/box",
        "(value >= low) & (value <= high)",
        "(value >= low) | (value <= high)",
        "test_spaces::test_a_box_contains_what_gymnasiums_contains",
    ),
    change(
        "network/initialization",
        "matrices - 2.0 * vector * along",
        "matrices - vector * along",
        "test_network::test_rows_or_columns_are_orthonormal_whatever_shapes_are_made_together",
    ),
    change(
        "network/initialization",
        "* -signs[:, None, :]",
        "",
        "test_network::test_orthogonal_matrices_are_uniformly_distributed",
    ),
    change(
        "env/step",
        "observation = tree.where(done, env.observation(following, key=keys[5]), next_observation)",
        "observation = next_observation",
        "test_cartpole::test_advance_keeps_the_last_observation_of_an_episode_and_begins_the_next",
    ),
    change(
        "env/step",
        "env.begin(chosen)",
        "env.begin(stepped)",
        "test_cartpole::test_advance_keeps_the_last_observation_of_an_episode_and_begins_the_next",
    ),
    change("tree", "condition.any()", "condition.all()", "test_tree"),
    change(
        "env/classic_control/base",
        "jnp.round(angle / (2 * math.pi))",
        "jnp.floor(angle / (2 * math.pi))",
        f"{ANYWHERE}[Pendulum]",
    ),
    change(
        "env/classic_control/cartpole",
        "POSITION_LIMIT = 2.4",
        "POSITION_LIMIT = 2.5",
        f"{ANYWHERE}[CartPole]",
    ),
    change(
        "env/classic_control/acrobot", "jnp.clip(y[2:], -speeds, speeds)", "y[2:]", f"{ANYWHERE}[Acrobot]"
    ),
    change("env/mujoco/base", "minval=-scale, maxval=scale", "minval=0.0, maxval=scale", f"{STARTS}[Hopper]"),
    change("env/mujoco/base", "scale * jr.normal", "jr.normal", f"{STARTS}[Ant]"),
    change("env/mujoco/base", "state.steps + 1)", "state.steps + 2)", f"{EPISODES}[Reacher]"),
    change(
        "env/mujoco/base",
        "jnp.where(failed, 0, reward)",
        "reward",
        "test_mujoco_faults::test_where_the_engine_gives_up_the_episode_ends_and_others_go_on",
    ),
    change(
        "env/mujoco/native", "stepped[:, size:] - rows[:, size:]", "stepped[:, size:]", f"{EPISODES}[Swimmer]"
    ),
    change("env/mujoco/humanoid", "/ masses.sum()", "/ masses[1:].max()", f"{EPISODES}[Humanoid]"),
    change("callback/clips", "default=-clip.number", "default=clip.number", SPREAD),
    change("callback/clips", "> self._max_clips", ">= self._max_clips", SPREAD),
    change(
        "collect",
        "policy_state = tree.where(after.done, fresh.policy_state, policy_state)",
        "",
        "test_evaluate::test_each_episode_of_a_rollout_begins_with_a_new_memory",
    ),
    change("backend/chart", "4 * height", "2 * height", "test_chart::test_a_straight_line_is_drawn_straight"),
    change(
        "backend/chart",
        "(high + low) / 2",
        "(high - low) / 2",
        "test_chart::test_a_chart_fills_its_space_and_names_its_range",
    ),
    change(
        "render/base_renderer",
        "(width - self.width * factor) / 2",
        "(width - self.width * factor)",
        "test_render::test_a_fitted_transform_shows_the_same_part_centred_and_undistorted",
    ),
    change("algorithm/off_policy/buffer", "self.head - self.size +", "self.head +", RING),
    change("algorithm/off_policy/buffer", "(self.size - (n_step - 1))", "self.size", SUMS),
    change("algorithm/off_policy/buffer", "gamma * weight[last]", "gamma * weight[-1]", SUMS),
    change("algorithm/off_policy/buffer", "~at_last(row.terminal)", "~at_last(done)", SUMS),
    change("algorithm/off_policy/dqn", "if self.double else", "if not self.double else", DQN),
    change("algorithm/off_policy/dqn", "where(mask, judged, -", "where(True, judged, -", DQN),
    change("algorithm/off_policy/dqn", "losses.huber_loss", "losses.squared_error", DQN),
    change(
        "algorithm/off_policy/dqn", "with_rest_of(networks.target, networks.policy)", "networks.target", DQN
    ),
    change("algorithm/off_policy/dqn", "optax.clip_by_global_norm(self", "optax.clip(self", SCALED),
    change("algorithm/off_policy/dqn", "(number + 1) %", "number %", COPIED),
    change(
        "algorithm/off_policy/networks", "(1 - tau) * slow + tau * fast", "slow + tau * (fast - slow)", COPIED
    ),
    change("algorithm/off_policy/networks", "(1 - tau) * slow + tau", "tau * slow + (1 - tau)", SLOWLY),
    change(
        "algorithm/off_policy/base", "-(-self.learning_starts // self", "(self.learning_starts // self", OFTEN
    ),
    change("algorithm/off_policy/base", "& (buffer.size >= self.n_step)", "", OFTEN),
    change("algorithm/off_policy/base", "full | (buffer.size", "(buffer.size", OFTEN),
    change("algorithm/off_policy/base", "number=number + xs[0]", "number=number", OFTEN),
    change(
        "algorithm/off_policy/base", "self._ready(buffer) * self.gradient_steps", "self._ready(buffer)", OFTEN
    ),
    change("algorithm/off_policy/exploring", "_alike(space, mask)", "_alike(space)", FORBIDDEN),
    change(
        "algorithm/off_policy/base",
        "self.learning_rate, progress)",
        "self.learning_rate, 0 * progress)",
        FALLS,
    ),
    change("algorithm/footprint", "REPLAYS = 3", "REPLAYS = 1", TOO_LARGE),
    change("algorithm/off_policy/deterministic", "jnp.min(follows", "jnp.max(follows", DETERMINISTIC),
    change("algorithm/off_policy/deterministic", "critics[:1], policy", "critics, policy", DETERMINISTIC),
    change(
        "algorithm/off_policy/deterministic", "key=key), -1.0, 1.0)", "key=key), -9.0, 9.0)", DETERMINISTIC
    ),
    change(
        "algorithm/off_policy/deterministic",
        "with_rest_of(networks.target_policy, policy)",
        "networks.target_policy",
        DETERMINISTIC,
    ),
    change("algorithm/off_policy/deterministic", "% self.delay == 0", "% self.delay == 1", LATE),
    change("algorithm/off_policy/deterministic", "self.exploration_std * noise", "noise", EXPLORES),
    change(
        "algorithm/off_policy/td3",
        "noise, -self.target_noise_clip",
        "noise, -9 * self.target_noise_clip",
        DETERMINISTIC,
    ),
    change("algorithm/off_policy/critics", "jnp.sum(jnp.mean(", "jnp.mean(jnp.mean(", SAC),
    change("algorithm/off_policy/sac", "- alpha * next_log_prob", "+ alpha * next_log_prob", SAC),
    change("algorithm/off_policy/sac", "log_prob - jnp.min(found", "log_prob - jnp.mean(found", SAC),
    change(
        "algorithm/off_policy/soft",
        "-temperature.log_alpha * missing",
        "temperature.log_alpha * missing",
        SAC,
    ),
    change("algorithm/off_policy/soft", "_per_action * policy.action_space.flat_size", "_per_action", SAC),
    change("algorithm/off_policy/discrete_sac", "jnp.where(probs > 0, of, 0.0)", "of", DISCRETE),
    change(
        "algorithm/off_policy/discrete_sac",
        "follows - alpha * chances",
        "follows + alpha * chances",
        DISCRETE,
    ),
    change(
        "algorithm/off_policy/discrete_sac",
        "batch.next_observation, batch.next_action_mask",
        "batch.next_observation, batch.action_mask",
        DISCRETE,
    ),
    change(
        "algorithm/off_policy/crossq",
        "lax.stop_gradient(jnp.min(follows, axis=0))",
        "jnp.min(follows, axis=0)",
        CROSSQ,
    ),
    change("algorithm/off_policy/crossq", "critics = with_rest_of(critics, after)", "", CROSSQ),
    change("algorithm/off_policy/crossq", "with_rest_of(policy, after)", "policy", CROSSQ),
    change("algorithm/off_policy/crossq", "% self.policy_delay == 0", "% self.delay == 1", LATE),
    change("algorithm/off_policy/crossq", "b1=0.5", "b1=0.9", ADAM),
    change("bench", "NEAR * self.best", "1.0 * self.best", RECOMMENDED),
    change("bench", "watched - acted", "watched - simulated", TIMED),
    change("bench", "statistics.median(part), 0.0", "statistics.mean(part), 0.0", TIMED),
    change("study/statistics", "count // 4 : count - count // 4", "count // 4 : count", IQM),
    change("study/statistics", "0.5 * (one == two)", "1.0 * (one == two)", IMPROVED),
    change("study/statistics", "(one > two) +", "(one >= two) +", IMPROVED),
    change("study/statistics", "task > np.asarray(taus)", "task >= np.asarray(taus)", IMPROVED),
    change("study/statistics", "(1 - confidence) / 2, (1 +", "1 - confidence, (1 +", DRAWN),
    change("study/statistics", "float(2 * special.stdtr", "float(special.stdtr", WELCH),
    change("study/statistics", "np.array([runs - 1 for", "np.array([runs for", WELCH),
    change("study/statistics", "np.sqrt(squares.sum()) / tasks", "np.sqrt(squares.sum())", TOLD_APART),
    change("study/statistics", "1 - significance / 2", "1 - significance", PUBLISHED),
    change("study/statistics", "float(found[0] + 1 - found[1])", "float(1 - found[0])", PUBLISHED),
    change("study/curves", "x - window / 2", "x - window", SMOOTHED),
    change("study/curves", "(last - first)", "(last - first + 1)", SMOOTHED),
    change("study/curves", "there.sum(axis=-1) * 2 >= len(some)", "there.all(axis=-1)", HALF),
    change("study/curves", "if one >= max(last) - near", "if one >= max(last)", HALF),
    change("study/curves", "if axis == TIME else (lambda", "if axis == STEPS else (lambda", KEPT),
    change("study/curves", "interval(iqm, [runs]", "interval(iqm, [runs[:, :2]]", CURVE),
    change("study/compare", "(np.array(scores) - low)", "np.array(scores)", SCALED_SCORES),
    change("study/compare", "max(needed - count, 0)", "needed", MORE_RUNS),
    change("study/compare", "math.floor(low / step)", "math.ceil(low / step) + 1", PROFILE),
    change("report/videos", "room -= size", "room -= 0", ROOM),
    change("report/videos", "size = path.stat().st_size * GROWS", "size = path.stat().st_size", ROOM),
    change("report/screen", "at += wide", "at += len(text)", SCREEN),
    change("report/plain", 'one.encode("unicode_escape").decode()', "one", TEXTS),
    change("report/page", "return html.escape(printable(text))", "return printable(text)", TEXTS),
    change(
        "sweep/study", "if len(trials) < self.plan.trials", "if len(trials) <= self.plan.trials", MORE_TRIALS
    ),
    change("sweep/study", "if one <= part * LAST_ROUND", "if one < part * LAST_ROUND / 3", ROUNDS),
    change("sweep/study", "due <= max(known, default=0)", "due < max(known, default=0)", ROUNDS),
    change("sweep/study", "count >= MOST_DEATHS", "count > MOST_DEATHS", DEATHS),
    change("sweep/study", '"count"] + 1', '"count"] + 2', DEATHS),
    change("sweep/study", "repr((self.plan.seeds[0], number))", "repr(self.plan.seeds[0])", DRAWN),
    change("sweep/trial", "interval(statistic, [found])", "interval(mean, [found])", SWEPT_SCORE),
    change("sweep/ranking", "-(row.score or 0.0)", "(row.score or 0.0)", RANKED),
]

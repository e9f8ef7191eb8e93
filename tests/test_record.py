"""Recordings: frames held against pictures of states that are played in another way."""

import av
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from PIL import Image
from toys import Masked, Target

from lerax.env import AbstractEnvState
from lerax.env.base_env import unstack
from lerax.env.classic_control import CartPole
from lerax.evaluate import episode, rollout
from lerax.policy import RandomPolicy
from lerax.record import record, take_picture
from lerax.render import RenderError, headless_renderer

SIZE = (160, 120)


def decoded(path):
    """The frames of a video, by an independent decoder."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def pictures(env, states):
    """What the environment draws of states."""
    frames = []
    with headless_renderer(env, *SIZE) as renderer:
        for state in states:
            env.render(state, renderer)
            frames.append(renderer.as_array())
    return np.stack(frames)


def assert_shows(frames, expected, most=6.0):
    """Frames are pictures, but for what encoding loses."""
    assert frames.shape == expected.shape
    assert np.abs(frames.astype(int) - expected).mean(axis=(1, 2, 3)).max() < most


@pytest.fixture(scope="module")
def random(env):
    return RandomPolicy(env)


@pytest.fixture
def renderer(env):
    with headless_renderer(env, *SIZE) as renderer:
        yield renderer


def test_an_episode_is_the_beginning_of_the_rollout_with_its_key(env, random):
    key = jr.key(3)
    steps = list(episode(env, random, key=key, deterministic=False))
    played = rollout(env, random, key=key, num_steps=200, deterministic=False)
    length = int(np.argmax(played.dones)) + 1
    assert len(steps) == length + 1
    assert [step.done for step in steps] == [False] * length + [True]
    assert [step.reward for step in steps] == [0.0] + [1.0] * length
    states = list(unstack(played.states))
    for step, state in zip(steps[:-1], states, strict=False):
        np.testing.assert_array_equal(step.state.y, state.y)


def test_an_episode_ends_with_the_state_that_ended_it(env, random):
    """Each state follows from the one before by one of the two actions, and only the last is terminal."""
    states = [step.state for step in episode(env, random, key=jr.key(5), deterministic=False)]
    after = jax.jit(jax.vmap(lambda state, action: env.transition(state, action).y, in_axes=(None, 0)))
    for state, following in zip(states, states[1:], strict=False):
        assert np.abs(after(state, jnp.arange(2)) - following.y).max(axis=1).min() < 1e-6
    assert [bool(jax.jit(env.terminal)(state)) for state in states] == [False] * (len(states) - 1) + [True]
    assert all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(states))


@pytest.mark.parametrize("max_steps", [1, 127, 128, 129, 300])
def test_an_episode_without_an_end_is_cut(max_steps):
    env = Target(length=10_000)
    steps = list(episode(env, RandomPolicy(env), key=jr.key(0), deterministic=False, max_steps=max_steps))
    assert [int(step.state.steps) for step in steps] == list(range(max_steps + 1))
    assert not any(step.done for step in steps)


def test_an_episode_that_is_truncated_ends_there():
    env = Target(length=130)  # in its second chunk
    steps = list(episode(env, RandomPolicy(env), key=jr.key(0), deterministic=False))
    assert [int(step.state.steps) for step in steps] == list(range(131)) and steps[-1].done


def test_states_may_hold_keys():
    """A key is of no use on the host, and must not be in the way there."""

    class Keyed(Target):
        def initial(self, *, key):
            return WithKey(super().initial(key=key), key)

        def transition(self, state, action, *, key):
            return WithKey(super().transition(state.inner, action, key=key), key)

        def observation(self, state, *, key):
            return super().observation(state.inner, key=key)

        def reward(self, state, action, next_state, *, key):
            return super().reward(state.inner, action, next_state.inner, key=key)

        def truncate(self, state):
            return super().truncate(state.inner)

    class WithKey(AbstractEnvState):
        inner: AbstractEnvState
        key: jax.Array

    env = Keyed()
    steps = list(episode(env, RandomPolicy(env), key=jr.key(0), deterministic=False))
    assert len(steps) == env.length + 1
    assert isinstance(steps[-1].state.key, np.ndarray)


def test_a_video_shows_every_state_of_an_episode(env, policy, renderer, tmp_path):
    key, path = jr.key(1), tmp_path / "clip.mp4"
    recording = record(path, env, [("it", policy)], renderer, key=key, deterministic=False)
    states = [step.state for step in episode(env, policy, key=jr.fold_in(key, 0), deterministic=False)]
    assert recording.video == (len(states), 50, *SIZE)
    assert recording.episodes == [("it", len(states) - 1, len(states) - 1, True)]
    frames = decoded(path)
    assert_shows(frames, pictures(env, states))
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 50, "something moves"


def test_episodes_follow_one_another_from_different_states(env, random, renderer, tmp_path):
    path, counted = tmp_path / "clip.mp4", []
    key = jr.key(0)
    recording = record(
        path, env, [("", random)], renderer, key=key, episodes=3, on_frame=lambda: counted.append(1)
    )
    expected = [
        step.state
        for number in range(3)
        for step in episode(env, random, key=jr.fold_in(key, number), deterministic=False)
    ]
    assert recording.video.frames == len(expected) == len(counted)
    assert [played.length + 1 for played in recording.episodes] == np.diff(
        [*[i for i, state in enumerate(expected) if state.steps == 0], len(expected)]
    ).tolist()
    assert_shows(decoded(path), pictures(env, expected))


@pytest.mark.parametrize("steps", [1, 17, 60])
def test_steps_are_played_in_as_many_episodes_as_they_take(env, random, renderer, tmp_path, steps):
    recording = record(tmp_path / "a.mp4", env, [("", random)], renderer, key=jr.key(0), steps=steps)
    played = recording.episodes
    assert sum(episode.length for episode in played) == steps
    assert recording.video.frames == steps + len(played) == len(decoded(tmp_path / "a.mp4"))
    assert all(episode.finished for episode in played[:-1])


def test_the_same_key_gives_the_same_video(env, policy, renderer, tmp_path):
    def made(name, seed, **options):
        record(tmp_path / name, env, [("", policy)], renderer, key=jr.key(seed), steps=30, **options)
        return (tmp_path / name).read_bytes()

    first = made("a.mp4", 0)
    assert made("b.mp4", 0) == first
    assert made("c.mp4", 1) != first
    assert made("d.mp4", 0, deterministic=False) != first


def test_policies_play_the_same_episode_side_by_side(env, policy, random, renderer, tmp_path):
    """One that is through stays as it ended, until all are."""
    path, key = tmp_path / "clip.mp4", jr.key(2)
    recording = record(path, env, [("random", random), ("policy", policy)], renderer, key=key)
    frames, (width, height) = decoded(path), SIZE
    lengths = [played.length for played in recording.episodes]
    assert lengths[0] != lengths[1]
    assert recording.video == (max(lengths) + 1, 50, 2 * width, height)
    assert frames.shape == (max(lengths) + 1, height, 2 * width, 3)
    for i, (shown, sampled) in enumerate([(random, False), (policy, True)]):
        steps = episode(env, shown, key=jr.fold_in(key, 0), deterministic=sampled)
        expected = pictures(env, [step.state for step in steps])
        free = slice(0, height - 15)  # above the name
        still = np.repeat(expected[-1:], max(lengths) - lengths[i], axis=0)
        stay = np.concatenate([expected, still])
        assert_shows(frames[:, free, i * width : (i + 1) * width], stay[:, free])
    assert (frames[0, -15:, :20] < 150).any() and (frames[0, -15:, width : width + 20] < 150).any(), "names"


def test_an_overlay_is_written_on_every_frame_and_changes(env, random, renderer, tmp_path):
    key = jr.key(0)
    record(tmp_path / "plain.mp4", env, [("", random)], renderer, key=key)
    record(tmp_path / "words.mp4", env, [("", random)], renderer, key=key, overlay=True)
    plain, words = decoded(tmp_path / "plain.mp4"), decoded(tmp_path / "words.mp4")
    assert plain.shape == words.shape
    top, rest = slice(0, 14), slice(34, None)  # below two lines
    assert_shows(words[:, rest], plain[:, rest], most=2)
    assert np.abs(words[:, top, :40].astype(int) - plain[:, top, :40]).mean(axis=(1, 2, 3)).min() > 50
    assert (np.abs(np.diff(words[:, top, :80].astype(int), axis=0)).max(axis=(1, 2, 3)) > 60).all()


def test_a_gif_is_recorded_too(env, random, renderer, tmp_path):
    recording = record(tmp_path / "a.gif", env, [("", random)], renderer, key=jr.key(0), fps=25)
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.n_frames, 25, *image.size) == recording.video


def test_what_on_frame_raises_ends_the_recording_and_leaves_nothing(env, random, renderer, tmp_path):
    def stop():
        raise KeyError

    with pytest.raises(KeyError):
        record(tmp_path / "a.mp4", env, [("", random)], renderer, key=jr.key(0), on_frame=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [{"policies": []}, {"episodes": 0}, {"steps": -1}, {"fps": 0}])
def test_what_is_out_of_range_is_refused(env, random, renderer, tmp_path, bad):
    options = {"policies": [("", random)], "key": jr.key(0)} | bad
    with pytest.raises(ValueError, match="got"):
        record(tmp_path / "a.mp4", env, renderer=renderer, **options)


def test_an_env_without_a_drawing_says_so(renderer, tmp_path):
    env = Target()
    with pytest.raises(RenderError, match="Target cannot be drawn"):
        record(tmp_path / "a.mp4", env, [("", RandomPolicy(env))], renderer, key=jr.key(0))
    assert list(tmp_path.iterdir()) == []


def test_a_random_policy_takes_all_allowed_actions_alike():
    env = Masked()
    act = jax.jit(jax.vmap(lambda key, mask: RandomPolicy(env)(None, None, key=key, action_mask=mask)[1]))
    mask = jnp.array([True, False, True, True])
    counts = np.bincount(act(jr.split(jr.key(0), 3000), jnp.tile(mask, (3000, 1))), minlength=4)
    assert counts[1] == 0 and np.abs(counts[[0, 2, 3]] - 1000).max() < 100
    free = jax.jit(jax.vmap(lambda key: RandomPolicy(env)(None, None, key=key)[1]))
    assert np.abs(np.bincount(free(jr.split(jr.key(1), 4000))) - 1000).max() < 120
    with pytest.raises(ValueError, match="give a key"):
        RandomPolicy(CartPole())(None, jnp.zeros(4))


def steps_of(env, policy, key, number=0):
    """An episode as `record` plays it."""
    return list(episode(env, policy, key=jr.fold_in(key, number), deterministic=False))


def picture_at(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_picture_is_the_middle_of_an_episode(env, random, renderer, tmp_path):
    """Drawn as the environment draws it, bit for bit."""
    made = take_picture(tmp_path / "a.png", env, [("random", random)], renderer, key=jr.key(1))
    played = steps_of(env, random, jr.key(1))
    middle = (len(played) - 1) // 2
    np.testing.assert_array_equal(picture_at(tmp_path / "a.png"), pictures(env, [played[middle].state])[0])
    episodes = [("random", len(played) - 1, len(played) - 1, True)]
    assert made == ([middle], *SIZE, episodes, tmp_path / "a.png")


def test_a_picture_after_some_steps_is_the_last_frame_of_such_a_video(env, random, renderer, tmp_path):
    """In the second episode, if they take so many."""
    first, second = (steps_of(env, random, jr.key(1), number) for number in (0, 1))
    count = len(first) - 1 + 5
    made = take_picture(tmp_path / "a.png", env, [("random", random)], renderer, key=jr.key(1), steps=count)
    np.testing.assert_array_equal(picture_at(tmp_path / "a.png"), pictures(env, [second[5].state])[0])
    assert made.steps == [5] and [played.length for played in made.episodes] == [len(first) - 1, 5]


def test_a_sheet_shows_frames_from_the_first_to_the_last(env, random, renderer, tmp_path):
    """Evenly spread, line by line."""
    options = {"key": jr.key(1), "sheet": (3, 2)}
    made = take_picture(tmp_path / "a.png", env, [("random", random)], renderer, **options)
    played = steps_of(env, random, jr.key(1))
    assert made.steps[0] == 0 and made.steps[-1] == len(played) - 1
    assert np.ptp(np.diff(made.steps)) <= 1
    expected = pictures(env, [played[step].state for step in made.steps])
    rows = [np.concatenate(list(row), axis=1) for row in expected.reshape(2, 3, *expected.shape[1:])]
    np.testing.assert_array_equal(picture_at(tmp_path / "a.png"), np.concatenate(rows))
    assert (made.width, made.height) == (3 * SIZE[0], 2 * SIZE[1])


def test_a_sheet_of_an_episode_that_is_shorter_shows_each_frame_once(tmp_path):
    """A relative: fewer frames than places."""
    env = CartPole(max_episode_steps=3)
    with headless_renderer(env, *SIZE) as renderer:
        made = take_picture(
            tmp_path / "a.png", env, [("random", RandomPolicy(env))], renderer, key=jr.key(0), sheet=(3, 2)
        )
    assert made.steps == [0, 1, 2, 3] and picture_at(tmp_path / "a.png").shape[0] == 2 * SIZE[1]


def test_policies_stand_side_by_side_in_each_picture_of_a_sheet(env, policy, random, renderer, tmp_path):
    """With names and numbers on them, as in a video."""
    both = [("one", random), ("other", policy)]
    options = {"key": jr.key(1), "sheet": (1, 2), "overlay": True}
    made = take_picture(tmp_path / "a.png", env, both, renderer, **options)
    shown = picture_at(tmp_path / "a.png")
    assert shown.shape == (2 * SIZE[1], 2 * SIZE[0], 3) == (made.height, made.width, 3)
    for top, left in ((0, 0), (0, SIZE[0]), (SIZE[1], 0), (SIZE[1], SIZE[0])):
        corner = shown[top : top + 12, left : left + 30]
        assert corner.mean() < 130, "a dark ground"
    longest = max(played.length for played in made.episodes)
    assert made.steps == [0, longest]


def test_an_exception_leaves_no_picture(env, random, renderer, tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_picture(tmp_path / "a.png", env, [("a", random)], renderer, key=jr.key(0), on_frame=interrupted)
    assert list(tmp_path.iterdir()) == []

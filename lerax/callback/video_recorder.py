"""Makes the videos of a training, beside it and after it."""

import atexit
import contextlib
import math
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from lerax import tree
from lerax.backend import ClipSink, Dispatcher
from lerax.env import AbstractEnvLike
from lerax.env.base_env import unstack
from lerax.errors import LeraxWarning
from lerax.policy import AbstractPolicy
from lerax.render import AbstractFrameSource

from .base_callback import next_multiple
from .clips import Clip, ClipQueue, Play, Played
from .video import PlayedClip, VideoSettings

TAG = "eval/video"
SHARE = 0.03  # of the time that the thread works while training goes on
FIRST_SECONDS = 1.0  # that its first piece of work is taken for, which compiles a program
NICENESS = 19  # of the encoder while training goes on
FRAME_SECONDS = 20.0  # after which a renderer or an encoder hangs
OPEN_SECONDS = (
    150.0  # for a renderer to open: OpenGL is tried in processes that have time limits of their own
)
BACKEND_SECONDS = 8.0  # after which a backend that does not take its clip is left behind
DROP_SECONDS = 1.0  # for the clip in hand to be given up
EXIT_SECONDS = 5.0  # for the same at the end of Python, which fails where a thread is in compiled code
POLL_SECONDS = 0.05


class VideoCounts(NamedTuple):
    """What became of the videos of a training.

    Attributes:
        due: How many were due.
        made: How many arrived where they were to.
        thinned: How many were left out, evenly spread, because more were due than can wait.
        failed: How many could not be made; a warning said why.
        dropped: How many were given up, for example because of Ctrl-C.
    """

    due: int = 0
    made: int = 0
    thinned: int = 0
    failed: int = 0
    dropped: int = 0

    def text(self, where: str = "") -> str:
        """All of it in a few words, `where` behind the numbers."""
        reasons = {
            "evenly spread, since more were due than can wait": self.thinned,
            f"{self.failed} failed": self.failed,
            "the others were given up": self.dropped,
        }
        return ", ".join([f"{self.made} of {self.due}{where}", *filter(reasons.get, reasons)])


class VideoRecorder:
    """Keeps what each clip that is due needs, and makes the clips on a thread of its own.

    While training goes on the thread stands back: it takes a small share of the time. `finish` makes at full
    speed what is left. Whatever goes wrong is one warning, and there are no more videos; training is never
    touched.

    Args:
        settings: When and how.
        dispatchers: The backends that get the clips.
    """

    def __init__(self, settings: VideoSettings, dispatchers: Sequence[Dispatcher]):
        self.settings = settings
        self._dispatchers = dispatchers
        self._changed = threading.Condition()  # guards what follows
        self._clips = ClipQueue()
        self._in_hand: Clip | None = None
        self._made = self._failed = 0
        self._failure: str | None = None
        self._told = self._dropping = self._closed = False
        self._at_full_speed = threading.Event()
        self._hurried_at = math.inf  # when full speed began
        self._hangs_at = math.inf  # when the piece of work in hand will have taken too long
        self._sink: ClipSink | None = None
        self._thread: threading.Thread | None = None
        if not any(dispatcher.takes_videos for dispatcher in dispatchers):
            self.refuse("no backend takes them")

    @property
    def counts(self) -> VideoCounts:
        """What has become of the videos so far."""
        due, made, thinned, failed = self._clips.due, self._made, self._clips.thinned, self._failed
        dropped = due - made - thinned - failed - self.waiting
        return VideoCounts(due, made, thinned, failed, dropped)

    @property
    def waiting(self) -> int:
        """How many clips are still to be made."""
        return len(self._clips) + (self._in_hand is not None)

    def next_due(self, iteration: int) -> int:
        """The first iteration after `iteration` at which a clip is due."""
        return next_multiple(iteration, self.settings.interval)

    def record(self, env: AbstractEnvLike, policy: AbstractPolicy, step: int) -> None:
        """Records a clip of a policy that has learned for `step` environment steps.

        It is played later: to copy the policy takes training a fiftieth of the time of playing it, or less.
        """
        kept = tree.HostCopy((env, policy))

        def played() -> Played:
            env, policy = kept.restored()
            return tree.on_host((env, self.settings.play(env, policy).states))

        self._put(step, played, kept.leaves)

    def receive(self, clip: PlayedClip, step: int) -> None:
        """Takes a clip from a program that traces training as a whole."""
        arrays, static = eqx.partition((clip.env, clip.states), eqx.is_array)
        leaves, structure = jax.tree.flatten(arrays)
        played = eqx.combine(jax.tree.unflatten(structure, [leaf[0] for leaf in leaves]), static)
        self._put(step, lambda: played, leaves)

    def tell(self) -> None:
        """Warns once of what went wrong."""
        if self._failure is not None and not self._told:
            self._told = True
            more = "more " if self._made else ""
            warnings.warn(f"no {more}videos: {self._failure}; all else goes on", LeraxWarning, stacklevel=2)

    def refuse(self, reason: str) -> None:
        """Makes nothing from now on, and says why."""
        self._fail(reason)
        self.tell()

    def finish(self, on_progress: Callable[[], None] = lambda: None, seconds: float | None = None) -> None:
        """Makes all clips that wait, at full speed; where one hangs, it and they are left behind.

        An exception, such as a signal's, ends it at once.

        Args:
            on_progress: Called now and then.
            seconds: Make the first and the newest only, within this time.
        """
        ends_at = math.inf
        if seconds is not None:
            ends_at = time.monotonic() + seconds
            with self._changed:
                self._clips.keep_ends()
        self._hurried_at = time.monotonic()
        self._at_full_speed.set()
        try:
            while self.waiting:
                on_progress()
                with self._changed:
                    self._changed.wait_for(lambda: not self.waiting, POLL_SECONDS)
                if time.monotonic() > self._hangs_at:
                    self._fail("one hangs and is left behind")
                    self.drop()
                if time.monotonic() > ends_at:
                    self.drop()
        except BaseException:
            self.drop()
            raise
        finally:
            self._at_full_speed.clear()
        self.tell()

    def drop(self) -> None:
        """Gives up the clips that wait and the one in hand, of which nothing is left."""
        with self._changed:
            self._clips.clear()
            self._dropping = True
            self._at_full_speed.set()  # wakes the thread, if it rests
            self._dropping = not self._changed.wait_for(lambda: self._in_hand is None, DROP_SECONDS)
            self._at_full_speed.clear()
            if not self._dropping:
                return
            if self._failure is None:
                self._failure, self._told = "one was left behind", True
            self._in_hand = None
        if self._sink is not None:
            self._sink.abandon()

    def close(self) -> None:
        """Ends the thread when it has made what waits; does not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _put(self, step: int, play: Play, kept: Sequence[Array | np.ndarray]) -> None:
        self.tell()
        size = sum(leaf.nbytes for leaf in kept)
        with self._changed:
            self._clips.put(step, play, size)
            if self._failure is not None:
                self._clips.clear()
                self._failed += 1
            elif self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="lerax video")
                _threads.add(self._thread)
                self._thread.start()
            self._changed.notify_all()

    def _fail(self, reason: str, *, told: bool = False) -> None:
        with self._changed:
            self._failed += self.waiting
            self._clips.clear()
            self._failure, self._told = self._failure or reason, self._told or told

    def _work(self) -> None:
        with contextlib.suppress(_Dropped):
            self._rest(FIRST_SECONDS)
        renderer: AbstractFrameSource | None = None  # lives on this thread: a GL context belongs to one
        while (clip := self._take()) is not None:
            try:
                renderer = self._make(clip, renderer)
            except _Dropped:
                pass
            except Exception as error:
                self._fail(" ".join(f"{type(error).__name__}: {error}".split()))
            finally:
                with self._changed:
                    self._in_hand = self._sink = None
                    self._changed.notify_all()
        if renderer is not None:
            renderer.close()

    def _take(self) -> Clip | None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._clips) or self._closed)
            in_order = any(dispatcher.takes_whole_videos for dispatcher in self._dispatchers)
            self._in_hand = self._clips.take(in_order=in_order)
            return self._in_hand

    def _make(self, clip: Clip, renderer: AbstractFrameSource | None) -> AbstractFrameSource:
        """Plays, draws and hands over a clip; returns the renderer, which is made for the first one."""
        with self._piece():
            env, states = clip.play()
        if renderer is None:
            with self._piece(OPEN_SECONDS):
                renderer = self._renderer(env)
        settings, hurried = self.settings, self._at_full_speed.is_set()
        fps = env.render_fps if settings.fps is None else settings.fps
        niceness = 0 if hurried else NICENESS
        sink = ClipSink(self._dispatchers, TAG, clip.step, fps, settings.num_steps + 1, niceness)
        self._sink = sink
        try:
            with sink:
                for state in unstack(states):
                    with self._piece(FRAME_SECONDS):
                        env.render(state, renderer)
                        sink.add(renderer.as_array())
                    if not sink.is_wanted:
                        break
                with self._piece(FRAME_SECONDS):
                    sink.close()
            with self._piece():
                self._wait_for_backends()
        finally:
            if sink.is_complete:  # what is given up from then on has arrived
                self._count(sink)
        return renderer

    def _count(self, sink: ClipSink) -> None:
        if sink.is_wanted:
            with self._changed:
                self._made += sink.is_taken
                self._failed += not sink.is_taken
        else:
            self._fail("no backend takes them any more", told=True)  # which they say themselves

    def _renderer(self, env: AbstractEnvLike) -> AbstractFrameSource:
        from lerax.render import headless_renderer

        renderer = headless_renderer(env, self.settings.width, self.settings.height, fastest=True)
        renderer.open()
        return renderer

    def _wait_for_backends(self) -> None:
        """Until they have taken the clip: no more than one is in memory as pictures."""
        began = time.monotonic()
        while late := [dispatcher for dispatcher in self._dispatchers if dispatcher.has_clip]:
            if self._at_full_speed.is_set():
                if time.monotonic() - max(began, self._hurried_at) > BACKEND_SECONDS:
                    for dispatcher in late:
                        dispatcher.leave_behind(f"a video took it longer than {BACKEND_SECONDS:g} s")
            self._check_dropped()
            time.sleep(POLL_SECONDS)

    @contextlib.contextmanager
    def _piece(self, limit: float = math.inf) -> Iterator[None]:
        """A piece of work, after which the thread rests while training goes on.

        Args:
            limit: Seconds after which it hangs.
        """
        began = time.monotonic()
        self._hangs_at = began + limit
        try:
            yield
        finally:
            self._hangs_at = math.inf
        self._rest(time.monotonic() - began)

    def _rest(self, worked: float) -> None:
        """Rests so long that what was worked is a small share of the time."""
        self._at_full_speed.wait(worked / SHARE)
        self._check_dropped()

    def _check_dropped(self) -> None:
        if self._dropping:
            raise _Dropped


_threads: "weakref.WeakSet[threading.Thread]" = weakref.WeakSet()


@atexit.register  # before any run log's own function, so that it comes after those have closed
def _wait_for_threads() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for thread in _threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class _Dropped(Exception):
    """The clip in hand is given up."""

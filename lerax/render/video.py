"""Videos: streamed to an encoder, and whole or not there."""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lerax.errors import SettingError
from lerax.files import DISK_ERRORS, Unfinished, write_atomically

from .base_renderer import RenderError, check_fps, check_frame
from .gif import encode_gif, gif_frames


class VideoFacts(NamedTuple):
    """What a video file holds.

    Attributes:
        frames: Number of frames.
        fps: Frames per second.
        width: Pixels.
        height: Pixels.
    """

    frames: int
    fps: float
    width: int
    height: int


class VideoWriter:
    """Writes an mp4 (H.264) frame by frame; memory does not grow with its length.

    The file gets its name when it is complete and found to hold every frame; if anything goes wrong before,
    nothing is left of it. Odd sizes grow by one pixel, which repeats the edge, because H.264 wants even ones.
    A context manager: leaving it completes the file, an exception abandons it.

    Args:
        path: Where the video goes; a file there is replaced. The folder is made if it is missing.
        fps: Frames per second.
        crf: What quality may be lost, from 0 (none, large) to 51.
        niceness: How far the encoder, a process of its own, stands back for others: 0 to 19.

    Raises:
        ValueError: fps, crf or niceness is out of range.
    """

    def __init__(self, path: str | Path, *, fps: float, crf: int = 20, niceness: int = 0):
        check_fps(fps)
        if not 0 <= crf <= 51:
            raise SettingError("crf", crf, "in 0..51")
        if not 0 <= niceness <= 19:
            raise SettingError("niceness", niceness, "in 0..19")
        self.path = Path(path)
        self.frames = 0
        self._options = fps, crf
        self._niceness = niceness
        self._shape: tuple[int, ...] | None = None
        self._encoder: Any = None  # a subprocess.Popen, once there is a frame
        self._open_files = contextlib.ExitStack()

    @property
    def facts(self) -> VideoFacts:
        """What has been added so far, with its size in the file.

        Raises:
            ValueError: There is no frame yet.
        """
        if self._shape is None:
            raise ValueError(f"{self.path}: the video has no frame yet")
        height, width, _ = self._shape
        return VideoFacts(self.frames, self._options[0], width + width % 2, height + height % 2)

    def add(self, frame: np.ndarray) -> None:
        """Adds a frame: uint8, `[height, width, 3]`, all of one size.

        Raises:
            ValueError: The frame is of another type or size, or the video is closed.
            RenderError: There is no encoder, or it died; nothing is left of the video.
            OSError: The folder cannot be made or written.
        """
        check_frame(frame, self._shape)
        if self._shape is None:
            self._start(frame)
        elif self._encoder is None:
            raise ValueError(f"{self.path}: the video is closed, no frame can be added")
        height, width, _ = self._shape = frame.shape
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        with contextlib.suppress(OSError):
            self._encoder.stdin.write(np.ascontiguousarray(frame).data)
            self.frames += 1
            return
        raise self._failed()

    def close(self) -> None:
        """Completes the file and gives it its name.

        Raises:
            RenderError: No frame was added, or the encoder failed; nothing is left of the video.
        """
        if self._encoder is None:
            raise RenderError(f"{self.path}: a video needs at least one frame (got none)")
        try:
            with contextlib.suppress(OSError):  # the encoder has died: its exit status says so
                self._encoder.stdin.close()
            status = self._encoder.wait()
            written = re.findall(r"^frame=(\d+)$", self._said(), re.MULTILINE)
            whole = written[-1:] == [str(self.frames)] and os.fstat(self._unfinished.file).st_size
            if status or not whole:
                raise self._failed()
            self._unfinished.publish()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Ends the encoder and removes what it has written; does nothing after `close`."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.kill()
            with contextlib.suppress(OSError):
                encoder.stdin.close()
            encoder.wait()
        self._open_files.close()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _start(self, frame: np.ndarray) -> None:
        fps, crf = self._options
        height, width = frame.shape[0] + frame.shape[0] % 2, frame.shape[1] + frame.shape[1] % 2
        encoder = _ffmpeg()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished = self._open_files.enter_context(Unfinished(self.path))
        self._log = self._open_files.enter_context(tempfile.TemporaryFile())
        source = "-f rawvideo -pix_fmt rgb24 -i pipe:0 -an -c:v libx264 -pix_fmt yuv420p"
        # A fifth less of the time than veryfast; files are larger, 20 kB a second of an easy scene.
        source += " -preset superfast -bf 0"
        # The colours' meaning is written down, so that every player shows those that were drawn.
        colors = "-vf scale=flags=fast_bilinear:out_color_matrix=bt709:out_range=tv"
        colors += " -color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709"
        command = [
            *(encoder, *"-y -loglevel error -nostdin -progress pipe:1 -stats_period 3600".split()),
            *("-s", f"{width}x{height}", "-r", f"{fps:.6g}", *source.split()),
            *("-crf", str(crf), "-threads", "1", *colors.split()),
            *("-movflags", "+faststart", "-f", "mp4", f"/proc/self/fd/{self._unfinished.file}"),
        ]
        try:
            # In a session of its own: an interrupt from the keyboard is this process's to answer. It gets the
            # file open: left alone by a signal in this moment, it could make a new one of the same name.
            streams = {"stdin": subprocess.PIPE, "stdout": self._log, "stderr": self._log}
            self._encoder = subprocess.Popen(
                command, start_new_session=True, pass_fds=[self._unfinished.file], **streams
            )
            if self._niceness:
                os.setpriority(os.PRIO_PROCESS, self._encoder.pid, self._niceness)
        except OSError as error:
            self._open_files.close()
            raise RenderError(f"the video encoder does not start ({error}); {_INSTALL}") from error

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _failed(self) -> RenderError:
        self._encoder.kill()
        status = self._encoder.wait()
        said = [line for line in self._said().splitlines() if line and not re.match(r"\w+=", line)]
        self.abandon()
        # "[out#0/mp4 @ 0x56282e1b7c40] ...": where in its memory something was tells nobody anything.
        reason = (
            re.sub(r"\[([^\]]*?) @ 0x[0-9a-f]+\]", r"[\1]", said[-1]) if said else f"exit status {status}"
        )
        failure = RenderError(f"{self.path}: the video encoder failed ({reason}), and no video was written")
        # Words are all that another program says of a full disk.
        numbers = [number for number in DISK_ERRORS if os.strerror(number) in reason]
        failure.__cause__ = OSError(numbers[0], os.strerror(numbers[0])) if numbers else None
        return failure


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> VideoFacts:
    """Writes a video as the ending of its name says: `.mp4` is streamed, `.gif` holds its frames in memory.

    Args:
        path: Where the video goes; a file there is replaced.
        frames: uint8, `[height, width, 3]` each, all of one size.
        fps: Frames per second.

    Returns:
        What the file holds: an mp4's size is even, a GIF has no more than 50 frames per second.

    Raises:
        ValueError: Another ending; a frame of another type or size; fps out of range.
        RenderError: There is no frame, too many for a GIF, or the encoder is missing or failed.
        OSError: The file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == ".gif":
        check_fps(fps)
        frames, fps = gif_frames(frames, fps)
        data = encode_gif(frames, fps)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
        return VideoFacts(len(frames), fps, frames[0].shape[1], frames[0].shape[0])
    if ending == ".mp4":
        with VideoWriter(path, fps=fps) as video:
            for frame in frames:
                video.add(frame)
        return video.facts
    raise SettingError(str(path), ending, wrong="a video's name must end in .mp4 or .gif")


def check_video(path: str | Path) -> int:
    """Decodes a video, an `.mp4` or a `.gif`, and keeps nothing of it.

    Args:
        path: The file.

    Returns:
        How many frames it has.

    Raises:
        ValueError: It is no video, or not all of one.
        RenderError: The decoder is missing.
    """
    command = "-loglevel error -nostdin -i {} -map 0:v:0 -f null -progress pipe:1 -stats_period 3600 -"
    words = [_ffmpeg(), *(word.format(f"file:{path}") for word in command.split())]
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, start_new_session=True)
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    count = [int(number) for number in re.findall(rb"^frame=(\d+)$", done.stdout, re.MULTILINE)]
    if done.returncode or said or not any(count):
        reason = re.sub(r"^\[([^\]]*?) @ 0x[0-9a-f]+\] ", "", said[0])[:200] if said else "no frames"
        raise ValueError(f"not a whole video ({reason})")
    return count[-1]


_INSTALL = "install it: pip install --force-reinstall imageio-ffmpeg"


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError, OSError) as error:
        raise RenderError(f"there is no video encoder ({error}); {_INSTALL}") from error

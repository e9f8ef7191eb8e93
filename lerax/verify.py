"""The files of a run, held against its own record. It knows no JAX."""

import csv
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .archive import SEGMENTS, Archive, CheckpointError
from .archive.folder import files_in
from .archive.segments import check_segment, is_name, regular
from .files import EXPORTED, ONNX, PROFILE, UNFINISHED, read_toml
from .named import WRAP
from .render import RenderError, check_video
from .runs import CONFIG, FACTS, LIVES, LOCK, METRICS, STATUSES, Run, held

POLICY, CHECKPOINTS, TABLE, EVENTS = "policy.eqx", "checkpoints", "metrics.csv", "events.out.tfevents."
TRACE = ".json.gz"
VIDEOS = (".mp4", ".gif")
KEYS = ("seed", "nan")  # of a config, what belongs to its states beside the tables
WHOLE = ("finished", "paused", "pruned", "diverged")  # how runs end whose files are closed
TABLES = ("env", "algorithm", "policy")  # of a config, each with a name
HEAD, TAIL = struct.Struct("<QI"), struct.Struct("<I")  # around a record of TensorBoard's


class Checked(NamedTuple):
    """What was found out about a file.

    Attributes:
        name: Its path in the run's directory.
        said: What it holds.
        wrong: What is wrong with it; "" for nothing.
    """

    name: str
    said: str
    wrong: str = ""


class _Wrong(ValueError):
    """A file is not what the run's record says."""


def check(run: Run) -> Iterator[Checked]:
    """Reads every file of a run and holds it against the others.

    Args:
        run: The run; of one that lives, no more is asked than that what is there is right.
    """
    return _Check(run).all()


def changed_setting(saved: Any, config: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """The first setting of which a run's config no longer says what a checkpoint does.

    Args:
        saved: The config that is in the checkpoint's metadata.
        config: That of the run.

    Returns:
        Its name with that of its table, its value in the checkpoint and in the config; None where
        all are the same.
    """
    for key in KEYS:
        then, now = (each.get(key) if isinstance(each, dict) else None for each in (saved, config))
        if None not in (then, now) and then != now:
            return key, then, now
    for table in TABLES:
        then, now = (each.get(table) if isinstance(each, dict) else None for each in (saved, config))
        if isinstance(then, dict) and isinstance(now, dict):
            for name in sorted(then.keys() & now.keys()):
                if then[name] != now[name]:
                    return f"{table}.{name}", then[name], now[name]
    then, now = (each.get(WRAP, []) if isinstance(each, dict) else [] for each in (saved, config))
    return (WRAP, then, now) if isinstance(saved, dict) and then != now else None


class _Check:
    """A run whose files are checked."""

    def __init__(self, run: Run):
        self._run, self._facts = run, run.facts
        self._config: dict[str, Any] = {}
        self._saved = 0  # steps of the newest checkpoint
        self._used: set[str] = set()  # segments
        self._metadata: dict[str, Any] = {}  # of the policy that was read last

    def all(self) -> Iterator[Checked]:
        """Every file, those first that others are compared with."""
        path = self._run.path
        yield from self._file(path / CONFIG, self._read_config)
        yield from self._file(path / FACTS, self._check_facts)
        known = {path / CONFIG, path / FACTS}
        files = [one for one in sorted(path.rglob("*")) if one not in known and not one.is_dir()]
        last = (METRICS, TABLE)  # what is written before a checkpoint that lives is seen is read after it
        for file in sorted(files, key=lambda one: one.name in last or one.name.startswith(EVENTS)):
            if not (file.parent.name == SEGMENTS and is_name(file.name) and file.name in self._used):
                yield from self._file(file, self._reader(file))
        for name in self._missing():
            yield Checked(name, "", "missing")

    def _file(self, path: Path, read: Callable[[Path], str]) -> Iterator[Checked]:
        name = str(path.relative_to(self._run.path))
        try:
            yield Checked(name, read(path))
        except CheckpointError as error:
            reason = error.reason
        except (_Wrong, ValueError, RecursionError, RenderError) as error:
            reason = str(error)
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
        else:
            return
        if path.exists() or path.name in (CONFIG, FACTS):  # one that lives takes old ones away
            yield Checked(name, "", " ".join(reason.removeprefix(f"{path}: ").split()))

    def _missing(self) -> Iterator[str]:
        for name, wanted in ((POLICY, self._run.status == "finished"), (METRICS, self._run.steps > 0)):
            if wanted and not (self._run.path / name).is_file():
                yield name
        if "save_every" in self._config and self._run.steps and not files_in(self._run.path / CHECKPOINTS):
            yield CHECKPOINTS

    def _reader(self, path: Path) -> Callable[[Path], str]:
        """What checks a file of this name."""
        inside = path.relative_to(self._run.path).parts
        by_name = {LOCK: self._lock, POLICY: self._policy, METRICS: self._metrics, TABLE: self._table}
        if path.name.endswith(UNFINISHED):
            return self._unfinished
        if len(inside) == 1 and path.name in by_name:
            return by_name[path.name]
        if len(inside) == 1 and path.name.startswith(EVENTS):
            return self._events
        if inside[0] == CHECKPOINTS and path.suffix == ".lerax":
            return self._checkpoint
        if inside[0] == CHECKPOINTS and path.parent.name == SEGMENTS and is_name(path.name):
            return self._segment
        if inside[0] == PROFILE and path.name.endswith(TRACE):
            return self._trace
        if path.suffix.lower() in VIDEOS:
            return lambda path: f"{check_video(path):,} frames"
        if path.suffix == ".eqx":
            return self._other_policy
        if len(inside) == 1 and (path.name == ONNX or path.stem == EXPORTED):
            return lambda path: "not looked at: exported, `lerax export --overwrite` writes it anew"
        return lambda path: "not looked at: lerax knows no such file"

    def _read_config(self, path: Path) -> str:
        self._config = config = read_toml(path)
        for table in TABLES:
            part = config.get(table)
            if not isinstance(part, dict) or not isinstance(part.get("name"), str):
                raise _Wrong(f"has no [{table}] with a name")
        for key in ("seed", "steps"):
            if not isinstance(config.get(key), int):
                raise _Wrong(f"has no whole number {key}")
        return f"{config['algorithm']['name']} on {config['env']['name']}, {config['steps']:,} steps"

    def _check_facts(self, path: Path) -> str:
        run, config = self._run, self._config
        if run.problem:
            raise _Wrong(run.problem.removeprefix(f"{FACTS} "))
        if run.status not in STATUSES:
            raise _Wrong(f"has no status that is known (got {self._facts.get('status')!r})")
        self._same(self._facts)
        if run.status == "finished" and isinstance(config.get("steps"), int) and run.steps < config["steps"]:
            raise _Wrong(f"says finished at step {run.steps:,}, {CONFIG} has {config['steps']:,}")
        lost = f"; lost: {'; '.join(map(str, self._facts['lost']))}" if self._facts.get("lost") else ""
        return f"{run.status}, step {run.steps:,}{lost}"

    def _same(self, facts: dict[str, Any]) -> None:
        """Refuses what is of another training than the config."""
        config = self._config
        named = {table: (config.get(table) or {}).get("name") for table in TABLES}
        wanted = {"env": named["env"], "algo": named["algorithm"], "seed": config.get("seed")}
        for key, value in wanted.items():
            if config and key in facts and facts[key] != value:
                raise _Wrong(f"is of {key} {facts[key]!r}, {CONFIG} of {value!r}")

    def _checkpoint(self, path: Path) -> str:
        with Archive(path) as file:
            self._used |= {name for entry in file.entries for name in entry.segments}
            file.read()
            metadata, segments = file.metadata, sum(len(entry.segments) for entry in file.entries)
        steps, config = metadata.get("steps"), metadata.get("config")
        if steps != (int(path.stem) if path.stem.isdecimal() else None):
            raise _Wrong(f"is of step {steps}, which is not its name")
        if isinstance(config, dict):
            names = {
                "env": config["env"]["name"],
                "algo": config["algorithm"]["name"],
                "seed": config["seed"],
            }
            self._same(names)
            if different := changed_setting(config, self._config):
                name, then, now = different
                raise _Wrong(f"is of {name} = {then!r}, {CONFIG} says {now!r}")
        if path.parent.name == CHECKPOINTS:
            self._saved = max(self._saved, steps)
        return f"step {steps:,}" + (f", {segments} segments" if segments else "")

    def _segment(self, path: Path) -> str:
        with regular(path) as file:
            check_segment(file, path.name, path.stat().st_size)
        return "of no checkpoint; the next one takes it away"

    def _policy(self, path: Path) -> str:
        said, metadata = self._other_policy(path), self._metadata
        self._same(metadata)
        known = self._run.status in WHOLE and isinstance(metadata.get("steps"), int)
        if known and metadata["steps"] != self._run.steps:
            raise _Wrong(f"is of step {metadata['steps']:,}, {FACTS} says {self._run.steps:,}")
        return said

    def _other_policy(self, path: Path) -> str:
        with Archive(path) as file:
            file.read()
            self._metadata = file.metadata
            return f"{len(file.entries)} arrays" + (
                f", step {s:,}" if (s := file.metadata.get("steps")) else ""
            )

    def _trace(self, path: Path) -> str:
        try:
            trace = json.loads(gzip.decompress(path.read_bytes()))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _Wrong(f"is no whole file of gzip's: {error}") from None
        if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list):
            raise _Wrong("has no traceEvents")
        return f"a trace of {len(trace['traceEvents']):,} events"

    def _lock(self, path: Path) -> str:
        with held(self._run.path) as free:
            return "free" if free else "held by a process"

    def _unfinished(self, path: Path) -> str:
        if self._run.status in WHOLE:
            raise _Wrong("left over: nobody writes it any more")
        return "not complete, of a process that " + ("lives" if self._run.status == LIVES else "is gone")

    def _metrics(self, path: Path) -> str:
        last, count = -1, 0
        with open(path, "rb") as file:
            for count, line in enumerate(file, 1):
                try:
                    if not line.endswith(b"\n"):
                        raise ValueError("has no end")
                    step = _step(line)
                except (ValueError, RecursionError) as error:
                    return self._torn(file, f"line {count} {error}", count, last)
                last = _next(last, step, f"line {count}")
        return self._end(count, last)

    def _table(self, path: Path) -> str:
        last, count = -1, 0
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if (head := next(rows, [""]))[0] != "step":
                raise _Wrong("has no head that begins with step")
            for count, row in enumerate(rows, 1):
                if len(row) != len(head):
                    reason = f"row {count} has {len(row)} cells, the head {len(head)}"
                    return self._torn(file, reason, count, last)
                last = _next(last, int(row[0]), f"row {count}")
            if not _ends_a_line(path):
                return self._torn(file, f"row {count} has no end", count, last)
        return self._end(count, last, "csv" in self._config.get("backend", ()))

    def _torn(self, file: Any, reason: str, count: int, last: int) -> str:
        """What to say of a line that is none; it may be so at the end of a run that was not closed."""
        if file.read(1) or self._run.status in WHOLE:
            raise _Wrong(reason)
        return f"{self._end(count - 1, last)}; the last line is torn, as a kill or a write leaves it"

    def _end(self, count: int, last: int, complete: bool = True) -> str:
        """What is said of a log; the last step of a complete one is held against run and checkpoints."""
        whole = self._run.steps if self._run.status in WHOLE else 0
        if complete and not self._facts.get("lost"):
            if whole and last != whole:
                raise _Wrong(f"ends at step {max(last, 0):,}, {FACTS} says {whole:,}")
            if max(last, 0) < self._saved:
                raise _Wrong(f"ends at step {max(last, 0):,}, a checkpoint is of {self._saved:,}")
        return f"{count:,} lines" + (f" up to step {last:,}" if count else "")

    def _events(self, path: Path) -> str:
        from tensorboardX.proto.event_pb2 import Event  # type: ignore[attr-defined]

        count, last = 0, {}
        with open(path, "rb") as file:
            for count, record in enumerate(_records(file, self._run.status in WHOLE), 1):
                event = Event.FromString(record)
                for value in event.summary.value:
                    if value.HasField("simple_value") and "_hparams_" not in value.tag:
                        last[value.tag] = _next(
                            last.get(value.tag, -1), event.step, f"record {count}: {value.tag}"
                        )
        steps = f" up to step {max(last.values()):,}" if last else ""
        return f"{count:,} records{steps}"


def _records(file: Any, whole: bool) -> Iterator[bytes]:
    """The records of a file of TensorBoard's, verified; the last one may be torn unless `whole`."""
    from tensorboardX.record_writer import masked_crc32c

    place = 0
    while head := file.read(HEAD.size):
        size, checksum = HEAD.unpack(head.ljust(HEAD.size, b"\0"))
        if len(head) == HEAD.size and masked_crc32c(head[:8]) != checksum:
            raise _Wrong(f"damaged (the record at byte {place} does not match its checksum)")
        body = file.read(size + TAIL.size) if len(head) == HEAD.size else b""
        if len(body) < size + TAIL.size:
            if whole:
                raise _Wrong(f"ends within the record at byte {place}")
            return
        if masked_crc32c(body[:size]) != TAIL.unpack(body[size:])[0]:
            raise _Wrong(f"damaged (the record at byte {place} does not match its checksum)")
        yield body[:size]
        place += len(head) + len(body)


def _ends_a_line(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"


def _step(line: bytes) -> int:
    """The step of a line of `metrics.jsonl`."""

    def refuse(name: str) -> None:
        raise ValueError(f"has {name}, which is no JSON")

    row = json.loads(line, parse_constant=refuse)
    step = row.get("step") if isinstance(row, dict) else None
    if not isinstance(step, int) or isinstance(step, bool):
        raise ValueError("has no step")
    return step


def _next(last: int, step: int, where: str) -> int:
    """A step that comes after the last one."""
    if step <= last:
        raise _Wrong(f"{where}: step {step:,} comes after {last:,}")
    return step

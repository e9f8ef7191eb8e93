"""Ten thousand iterations to all backends at once: nothing is lost, nothing grows, nothing stays open."""

import csv
import json
import sys

import numpy as np
import pytest
import terminal
import wandb_files
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ITERATIONS = 10_000
PROGRAM = """
import json, os, sys, termios, threading, time
import numpy as np
from lerax import registry
from lerax.backend import ConsoleBackend
from lerax.callback.records import IterationScalars
from lerax.callback.run_log import RunLog

def files():
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return [os.readlink(link) for link in links if os.path.lexists(link)]  # but for the list itself

def resident():
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

reader, writer = os.openpty()
termios.tcsetwinsize(writer, (40, 120))

def look():  # as a terminal's program does
    while os.read(reader, 65536):
        pass

threading.Thread(target=look, daemon=True).start()
shown = open(writer, "w", encoding="utf-8", closefd=False)
backends = [registry.load_backend(name)() for name in sys.argv[1:]]
names = ["episode/return", "episode/length", *(f"train/{i}" for i in range(16))]

def log(first, last):
    for start in range(first, last, 10):
        number = np.arange(start, start + 10) + 1
        values = {name: np.sin(number + i).astype(np.float32) for i, name in enumerate(names)}
        run.receive(IterationScalars(number, values, {}), np.full(10, time.monotonic()), None)
    forwarded = threading.Event()
    run._forwarder.log(lambda: forwarded.set() or [])
    forwarded.wait()
    while any(dispatcher._waiting for dispatcher in run._forwarder.dispatchers):
        time.sleep(0.01)

before = files()
run = RunLog([*backends, ConsoleBackend("full", stream=shown)], claimed=True)
run.open("run")
for start in range(0, 1000, 100):
    log(start, start + 100)
first = resident()
for start in range(1000, 10_000, 100):
    log(start, start + 100)
last = resident()
run.close()
shown.close()
print(json.dumps({"first": first, "last": last, "left": [path for path in files() if path not in before]}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The run's directory, and what its process says of itself."""
    folder = tmp_path_factory.mktemp("endurance")
    names = "tensorboard jsonl csv wandb".split()
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *names]
    done = terminal.finish(command, folder, {"WANDB_MODE": "offline"})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder / "logs" / "run", json.loads(done.stdout)


def expected(tag):
    """What was logged under a tag."""
    index = {"episode/return": 0, "train/15": 17}[tag]
    return np.sin(np.arange(ITERATIONS) + 1 + index).astype(np.float32).tolist()


def test_memory_stays_what_it_was_after_a_thousand(told):
    assert told[1]["last"] <= 1.05 * told[1]["first"]


def test_no_file_stays_open(told):
    assert told[1]["left"] == []


def test_jsonl_has_every_record_in_order(told):
    rows = [json.loads(line) for line in (told[0] / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, ITERATIONS + 1))
    assert [row["train/15"] for row in rows] == expected("train/15")


def test_csv_has_every_record_in_order(told):
    with open(told[0] / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, ITERATIONS + 1))
    assert [float(row["episode/return"]) for row in rows] == expected("episode/return")


def test_tensorboard_has_every_record_in_order(told):
    events = EventAccumulator(str(told[0]), size_guidance={"scalars": 0}).Reload().Scalars("train/15")
    assert [event.step for event in events] == list(range(1, ITERATIONS + 1))
    assert [event.value for event in events] == expected("train/15")


def test_wandb_has_every_record_in_order(told):
    rows = wandb_files.history(told[0])
    assert [row["step"] for row in rows] == list(range(1, ITERATIONS + 1))
    assert [row["train/15"] for row in rows] == expected("train/15")

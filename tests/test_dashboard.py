"""The dashboard, as lines of text."""

import re

import pytest

from lerax.backend.chart import History
from lerax.backend.dashboard import Shown, clock_of, dashboard
from lerax.backend.seeds import together

NAME = "PPO_MLPActorCriticPolicy_CartPole-v1_20260220_120000"
TRAIN = ("loss", "policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "learning_rate")
BARS = "▁▂▃▄▅▆▇█"


def log(shown, step, scalars):
    shown.step = step
    shown.scalars |= scalars
    for tag, value in scalars.items():
        shown.curves.setdefault(tag, History()).add(step, value)


def training(records=100, **changes):
    """A run after some records, in which everything has been rising."""
    shown = Shown("cpu", f"logs/{NAME}", name=NAME, phase="training", total=100_000)
    for i in range(1, records + 1):
        train = {f"train/{tag}": float(i) for tag in TRAIN}
        episode = {"episode/return": float(i), "episode/length": float(i)}
        log(shown, 100 * i, train | episode | {"time/steps_per_second": 5000.0, "time/elapsed": 1.0})
    for name, value in changes.items():
        setattr(shown, name, value)
    return shown


def lines(shown, width=80, height=24, now=60.0, said=()):
    return ["".join(text for text, _ in line).rstrip() for line in dashboard(shown, width, height, now, said)]


def charted(text):
    return [line for line in text if re.search("[\u2801-\u28ff]", line)]


@pytest.mark.parametrize("phase", ["importing", "compiling", "training", "encoding", "interrupted"])
@pytest.mark.parametrize("records", [0, 1, 100])
@pytest.mark.parametrize(
    "size",
    [(20, 3), (20, 5), (30, 12), (60, 15), (79, 40), (80, 23), (80, 24), (100, 27), (200, 8), (300, 90)],
)
def test_a_dashboard_fits(size, records, phase):
    text = lines(training(records, phase=phase), *size)
    assert 2 <= len(text) < size[1]
    assert max(map(len, text)) <= size[0]
    assert phase in text[0]


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("seeds", [2, 5])
def test_the_title_of_several_seeds_is_whole(seeds, width):
    """What the dots are is left out where there is no room for it."""
    each = {seed: training() for seed in range(seeds)}
    whole = together(Shown("cpu", "logs/mine", name="mine"), each, 100_000)
    (title,) = (line for line in lines(whole, width, 40) if line.startswith(" episode/return: "))
    kind = "mean" if seeds == 2 else "interquartile mean"
    dots = ", dots from least to best" if seeds == 2 or width == 80 else ""
    assert title == f" episode/return: {kind} of the seeds{dots}"


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 2), (10, 3)])
def test_a_dashboard_for_next_to_no_room_has_no_more_lines(size):
    assert 1 <= len(lines(training(), *size)) <= max(size[1] - 1, 1)


def test_a_small_screen_is_used():
    """A few lines are numbers only; more have a chart above the numbers, down to the last line but one."""
    low, middle, high = (lines(training(), 60, height) for height in (8, 15, 50))
    assert len(low) == 7 and not charted(low) and "episode/return" in low[2]
    assert len(middle) == 14 and len(charted(middle)) == 4 and "train/loss" in "".join(middle)
    assert len(charted(high)) == 12 and all(f"train/{tag}" in "".join(high) for tag in TRAIN)


@pytest.mark.parametrize("phase", ["compiling", "training", "encoding", "finished"])
def test_a_name_that_does_not_fit_keeps_environment_and_time(phase):
    """The policy goes first, then the algorithm, the day, the time; what is left out leaves a sign."""
    assert lines(training(phase=phase), 120, 40)[0].startswith(f" {NAME} ")
    for width in (60, 40):
        shown = lines(training(phase=phase), width, 10)[0].split()[0]
        assert "CartPole-v1" in shown and "…" in shown, shown
    assert lines(training(), 60, 15)[0].startswith(" PPO_…_CartPole-v1_20260220_120000 ")
    assert lines(training(), 40, 10)[0].startswith(" …CartPole-v1_…120000 ")
    assert lines(training(), 20, 6)[0].split()[0] == "Car…le-v1"


@pytest.mark.parametrize("name", ["a-name-that-somebody-chose-for-the-7th-try", "a_b_c_20260220_120000"])
def test_a_name_of_ones_own_keeps_both_ends(name):
    """A relative of the cut end: names are told apart by what comes last, generated or not."""
    shown = lines(training(name=name), 30, 10)[0].split()[0]
    assert "…" in shown and name[-4:] == shown[-4:]


@pytest.mark.parametrize("size", [(60, 15), (40, 10), (20, 6)])
@pytest.mark.parametrize("phase", ["training", "finished"])
def test_what_matters_most_is_shown_where_not_all_is(size, phase):
    """The returns of episodes and, once there is one, of the evaluation; then the speed, then the loss."""
    shown = training(phase=phase)
    words = " ".join(lines(shown, *size))
    assert all(re.search(rf"{tag} +\d", words) for tag in ("return", r"(steps_per_second|steps/s)", "loss"))
    log(shown, 100_000, {"eval/return": 487.5, "eval/length": 487.5})
    for said in ([], ["lerax: warning: a disk is full"]):
        words = " ".join(lines(shown, *size, said=said))
        assert re.search(r"eval/return +487.5", words) and re.search(r"(episode/| )return +100 ", words)
        assert all(warning in words for warning in said)


def test_what_was_said_is_below_the_numbers():
    """The latest line where there is little room, a few where there is some."""
    said = [f"warning {i}" for i in range(5)]
    assert lines(training(), 80, 24, said=said)[-3:] == [" warning 2", " warning 3", " warning 4"]
    assert lines(training(), 60, 15, said=said)[-2:] == [
        lines(training(), 60, 15, said=said)[-2],
        " warning 4",
    ]
    assert "warning 4" not in "".join(lines(training(), 60, 3, said=said))
    for size in [(20, 4), (20, 5), (40, 10), (80, 24)]:
        assert len(lines(training(), *size, said=said)) < size[1]


def test_nothing_is_left_to_do_once_all_steps_are_done():
    """A relative of the narrow bar's lies: while a full run is evaluated or encoded no time is left of it."""
    bar = lines(training(1000, phase="encoding"), 100, 30)[2]
    assert "100%" in bar and "left" not in bar


def test_what_is_not_known_is_not_shown():
    """Before the first record there are no steps, no speed, no chart and no title of one."""
    shown = Shown("", "", name="x")
    assert len(lines(shown)) == 4
    assert lines(shown)[2].split()[1:] == ["0:01:00", "elapsed"]
    shown.total = 5000
    assert lines(shown)[2].endswith("0%  0:01:00 elapsed  0 of 5,000 steps")
    log(shown, 50, {"train/loss": 1.0, "time/steps_per_second": 10.0})
    text = lines(shown)
    assert text[2].endswith("1%  0:01:00 elapsed  0:08:15 left  50 of 5,000 steps  10/s")
    assert "train/loss" in text[4] and len(text) == 5
    shown.total = 0
    assert lines(shown)[2].endswith("0:01:00 elapsed  50 steps  10/s")


@pytest.mark.parametrize("end", ["finished", "interrupted", "diverged", "failed", "ended"])
def test_a_run_that_has_ended_has_no_clock_and_nothing_left(end):
    title, _, bar, *_ = lines(training(phase=end), 100, 30)
    assert title.endswith(f"cpu  {end}") and "left" not in bar and "0:01:00 elapsed" in bar
    working = lines(training(phase="saving", phase_began=50.0), 100, 30)
    assert working[0].endswith("cpu  saving 0:00:10") and " left" in working[2]


def places(text):
    """Row and column of each tag, counted from the table's first line."""
    first = next(i for i, line in enumerate(text) if re.search(r"train/\w+ +\d", line))
    found = {}
    for row, line in enumerate(text):
        for match in re.finditer(r"\w+/\w+(?= +\d)", line):
            found[match[0]] = row - first, match.start()
    return found


@pytest.mark.parametrize("size", [(80, 40), (100, 30), (200, 40)])
def test_tags_that_come_later_move_no_others(size):
    """Episodes and evaluations come after the first losses."""
    shown = training(0)
    log(shown, 100, {f"train/{tag}": 1.0 for tag in TRAIN})
    before = places(lines(shown, *size))
    log(shown, 200, {"eval/return": 3.0, "eval/length": 3.0})
    log(shown, 200, {"episode/return": 2.0, "episode/length": 2.0})
    after = places(lines(shown, *size))
    assert before.items() <= after.items()
    assert min(after, key=after.get) == "episode/return"
    assert max(row for row, _ in before.values()) < after["eval/return"][0]


@pytest.mark.parametrize("records", [50, 5000])
def test_a_trend_shows_the_whole_run(records):
    """All of it rises, or nothing but its first half does."""
    shown = training(records)
    shown.curves["train/loss"] = History()
    for i in range(records):
        shown.curves["train/loss"].add(i, float(min(i, records // 2)))
    line = next(line for line in lines(shown, 100, 30) if "train/loss" in line)
    half, rising = re.findall(f"[{BARS}]+", line)
    assert rising[0] == half[0] == "▁" and rising[-1] == half[-1] == "█"
    assert list(rising) == sorted(rising) and list(half) == sorted(half)
    middle = len(half) // 2 + 1
    assert set(half[middle:]) == {"█"} and rising[middle] != "█"


def test_values_that_no_curve_can_have_do_no_harm():
    shown = training(0)
    for i, value in enumerate((1e308, -1e308, float("nan"), float("inf"), 1.0)):
        log(shown, i, {"episode/return": value, "train/loss": value})
        assert lines(shown)


def test_a_clock_has_hours_minutes_and_seconds():
    assert [clock_of(seconds) for seconds in (-1, 59.9, 3725, 100 * 3600)] == [
        "0:00:00",
        "0:00:59",
        "1:02:05",
        "100:00:00",
    ]

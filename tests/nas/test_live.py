"""What one sees of a running search: plain lines without a terminal, a table with one."""

import io

import pytest
from rich.console import Console

from nas.live import QUIET_S, LiveView
from nas.recipe import Recipe
from nas.search import Event
from nas.trial import Proposal, Trial, TrialStatus
from search_spaces.architecture import Architecture, PointSpec

RECIPE = Recipe(space="toy", trials=4, constraints={"latency_ms": 5.0})


class Clock:
    """Tells the time that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def view_of(clock: Clock, *, terminal: bool) -> tuple[LiveView, io.StringIO]:
    text = io.StringIO()
    return LiveView(RECIPE, Console(file=text, force_terminal=terminal, width=100), "searching", clock), text


def asked(number: int) -> Event:
    return Event("asked", number, proposal=Proposal({}, Architecture(PointSpec((("a", number),)))))


def told(
    number: int, miou: float, latency_ms: float, status: TrialStatus = "complete", replayed: bool = False
) -> Event:
    proposal = Proposal({}, Architecture(PointSpec((("a", number),))))
    trial = Trial(number, proposal, status, {"miou": miou, "latency_ms": latency_ms})
    return Event("told", number, proposal=proposal, told=trial, replayed=replayed)


def test_nothing_is_said_before_the_search_has_begun(clock: Clock) -> None:
    view, text = view_of(clock, terminal=False)
    with view:
        pass
    assert text.getvalue() == ""


def test_plain_lines_are_one_a_trial(clock: Clock) -> None:
    view, text = view_of(clock, terminal=False)
    with view:
        view(asked(0))
        for stage in ("cost", "measure", "train"):
            view(Event("started", 0, stage))  # type: ignore[arg-type]
        clock.now_s = 10.0
        view(told(0, 0.5, 2.0))
        view(told(1, 0.4, 9.0, "infeasible"))
    assert text.getvalue().splitlines() == [
        "searching",
        "[1/4] trial #0 complete: miou 0.5, latency_ms 2; about 30 s left",
        "[2/4] trial #1 infeasible: miou 0.4, latency_ms 9; latency_ms 9 is over the budget 5; about 10 s left",
    ]


def test_a_long_silence_is_broken_when_a_job_starts(clock: Clock) -> None:
    view, text = view_of(clock, terminal=False)
    view(asked(0))
    clock.now_s = QUIET_S
    view(Event("started", 0, "train"))
    view(Event("started", 1, "train"))
    said = text.getvalue().splitlines()
    assert said[1:] == ["0/4 done, 1 running, 0 failed, 0 infeasible; nothing complete yet; time left unknown"]


def test_what_was_replayed_counts_and_is_not_said_again(clock: Clock) -> None:
    view, text = view_of(clock, terminal=False)
    view(told(0, 0.5, 2.0, replayed=True))
    assert text.getvalue().splitlines() == ["searching"]
    assert view.summary().startswith("1/4 done, 0 running, 0 failed, 0 infeasible; best miou 0.5 (#0)")


def test_the_front_is_that_of_all_trials(clock: Clock) -> None:
    view, _ = view_of(clock, terminal=False)
    for number, (miou, latency_ms) in enumerate([(0.5, 3.0), (0.4, 2.0), (0.6, 2.5), (0.3, 4.0)]):
        view(told(number, miou, latency_ms))
    view(told(9, 0.9, 0.1, "failed"))
    assert [trial.number for trial in view.front] == [2, 1]
    assert "best miou 0.6 (#2)" in view.summary()
    assert "1 failed" in view.summary()


def test_a_terminal_shows_summary_and_front(clock: Clock) -> None:
    view, text = view_of(clock, terminal=True)
    with view:
        view(asked(0))
        view(told(0, 0.5, 2.0))
        view.console.print(view.render())
    shown = text.getvalue()
    assert "1/4 done, 0 running" in shown
    assert "front (1)" in shown
    assert "trial #0 complete" not in shown

"""
Try the schedules of a scenario, those with fewer pre-emptions first.

The search is that of CHESS (Musuvathi and Qadeer, "Iterative context bounding
for systematic testing of multithreaded programs", PLDI 2007): nearly every
defect shows with one or two pre-emptions, of which there are few enough to try
them all.
"""

from __future__ import annotations

import gc
import random
import traceback

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from explorer import workers
from explorer.failure import DivergedError, ScheduleFailed
from explorer.schedule import Schedule, Turn
from explorer.scheduler import Scheduler
from explorer.stand_ins import ScheduledTime, stand_ins
from explorer.tracing import IS_FREE, stops, traced


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


#: How often a schedule is run at most until it leads through no new code.
MOST_RUNS = 10

#: After how many schedules the collector is let in. In free-threaded builds it goes
#: through all there is, however young, and takes many times as long as a schedule.
COLLECTED_EVERY = 100 if IS_FREE else 1


class Outcome(NamedTuple):
    """
    What became of one thread: what its call returned, or raised.
    """

    value: Any
    error: BaseException | None


class Race(NamedTuple):
    """
    Be what is run once: fresh objects, calls that race for them, and a check.

    Attributes:
        calls: One for each thread, by any number.
        check: Called when all have returned, with their outcomes in order.
            Raises if something is wrong.
        tolerates: The errors that outcomes may be; others fail the run.
    """

    calls: Sequence[Callable[[], Any]]
    check: Callable[[list[Outcome]], None]
    tolerates: tuple[type[BaseException], ...] = ()


@dataclass
class Coverage:
    """
    Say how much of a scenario was tried.

    Attributes:
        name: The scenario's.
        every_step: Whether threads stopped at every step another could notice,
            or at locks and sleeps alone.
        tried: How many schedules, by the number of pre-emptions in them.
        known: How many there are, as far as was looked.
        steps: How many steps the longest took.
    """

    name: str
    every_step: bool
    tried: list[int]
    known: list[int]
    steps: int = 0

    @property
    def schedules(self) -> int:
        return sum(self.tried)

    @property
    def is_complete(self) -> bool:
        return self.tried == self.known

    def __str__(self) -> str:
        at = "every step" if self.every_step else "locks and sleeps"
        *whole, last = range(len(self.tried))
        if self.is_complete:
            share = f"all with up to {last} pre-emptions"
        else:
            share = f"{self.tried[last]:,} of {self.known[last]:,} with {last}"
            if whole:
                share = f"all with up to {whole[-1]} pre-emptions, {share}"
        return f"{self.name}: {self.schedules:,} schedules at {at}: {share}"


def explore(
    scenario: Callable[[], Race],
    *,
    preemptions: int = 2,
    every_step: bool = True,
    limit: int = 2_000,
) -> Coverage:
    """
    Try schedules of *scenario*, all of them or a sample up to *limit*.

    Args:
        scenario: Makes fresh objects and returns the race for them.
        preemptions: How often a thread that could go on is stopped, at most.
        every_step: Stop threads wherever another could notice; or, faster, at
            locks, sleeps and readings of the clock alone.
        limit: How many schedules at most. Of those with the most pre-emptions
            a sample is tried then, the same each time.

    Raises:
        ScheduleFailed: At the first schedule that breaks something.
        DivergedError: If the scenario does not run the same way each time.
    """
    with stand_ins(), _no_collection(), stops() if every_step else nullcontext():
        _check_sameness(scenario, every_step=every_step)
        coverage = Coverage(scenario.__name__, every_step, [], [])
        level = [Schedule()]
        for pre_empted in range(preemptions + 1):
            further: list[Schedule] = []
            coverage.tried.append(0)
            while level and coverage.schedules < limit:
                schedule = level.pop()
                run = _run(
                    scenario,
                    schedule,
                    every_step=every_step,
                    note_preemptions=pre_empted < preemptions,
                )
                coverage.tried[-1] += 1
                coverage.steps = max(coverage.steps, run.step)
                for step, digest, others in run.decisions:
                    for party, preempts in others:
                        turns = (*schedule.turns, Turn(step, party))
                        (further if preempts else level).append(Schedule(turns, digest))
                # Nobody is in the middle of anything. What is left would have to
                # be seen to at every fork.
                del run
                if coverage.schedules % COLLECTED_EVERY == 0:
                    gc.collect(0)
            coverage.known.append(coverage.tried[-1] + len(level))
            if level:
                break
            level = further
            random.Random(1).shuffle(level)
    return coverage


#: How a schedule's line begins: where its threads stop.
_EVERY_STEP, _LOCKS = "steps", "locks"


def is_at_every_step(line: str) -> bool:
    """
    Answer where the threads stop in the schedule that a failure has printed.
    """
    where, _, _ = line.partition(" ")
    if where not in {_EVERY_STEP, _LOCKS}:
        msg = f"a schedule begins with {_EVERY_STEP} or {_LOCKS}, not {line!r}"
        raise ValueError(msg)
    return where == _EVERY_STEP


def replay(scenario: Callable[[], Race], line: str) -> Scheduler:
    """
    Run the one schedule that a failure has printed.

    Raises:
        ScheduleFailed: If it breaks something still.
        DivergedError: If it is the schedule of something else.
        ValueError: If it is none.
    """
    every_step = is_at_every_step(line)
    with stand_ins(), _no_collection(), stops() if every_step else nullcontext():
        _check_sameness(scenario, every_step=every_step)
        return _run(
            scenario,
            Schedule.parse(line.partition(" ")[2]),
            every_step=every_step,
            note_preemptions=False,
        )


def _run(
    scenario: Callable[[], Race],
    schedule: Schedule,
    *,
    every_step: bool,
    note_preemptions: bool,
) -> Scheduler:
    """
    Run one schedule, again if it led through code that was never run before.

    In free-threaded builds also if it went another way: an object that is let go
    by another thread than the one that made it lives on until that one notices,
    and so does what weak references lead to.
    """
    for _ in range(MOST_RUNS):
        race = scenario()
        scheduler = Scheduler(
            [traced(call) for call in race.calls] if every_step else race.calls,
            schedule,
            note_preemptions=note_preemptions,
            start=ScheduledTime.START,
        )
        failure: DivergedError | None = None
        try:
            _run_once(race, scheduler)
        except DivergedError as error:
            failure = error
            if IS_FREE:
                continue
        except BaseException as error:
            where = _EVERY_STEP if every_step else _LOCKS
            line = f"{where} {schedule}"
            # Also if there was new code: what happens the first time may happen.
            report = _report(scenario.__name__, line, scheduler, error)
            raise ScheduleFailed(report) from error
        if not scheduler.is_cold:
            break
    else:
        failure = failure or DivergedError("there is new code in every run")
    if failure is not None:
        raise failure
    return scheduler


def _run_once(race: Race, scheduler: Scheduler) -> None:
    scheduler.run()
    outcomes = [Outcome(one.value, one.error) for one in scheduler.parties]
    for outcome in outcomes:
        if outcome.error is not None and not isinstance(outcome.error, race.tolerates):
            raise outcome.error
    race.check(outcomes)


def _check_sameness(scenario: Callable[[], Race], *, every_step: bool) -> None:
    """
    Run *scenario* twice: it must go the same way, or no schedule means anything.
    """
    before = None
    for _ in range(MOST_RUNS if IS_FREE else 2):
        run = _run(scenario, Schedule(), every_step=every_step, note_preemptions=False)
        way = (run.step, run.digest)
        if way == before:
            return
        before = way
    msg = f"{scenario.__name__} runs another way each time"
    raise DivergedError(msg)


def _report(name: str, line: str, scheduler: Scheduler, error: BaseException) -> str:
    told = "".join(traceback.format_exception_only(error)).strip()
    return "\n".join(
        [
            f"{name}: {told}",
            "who went on, and where the one before was stopped:",
            *(f"    {switch}" for switch in scheduler.switches),
            f"to see it again, with this Python: SCHEDULE='{line}'",
            *(
                ["(it may not come again: some of the code was new)"]
                * scheduler.is_cold
            ),
        ]
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """
    Keep the collector, and so finalisers, from running at steps of its own choice;
    leave nothing that it could collect.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Who is left would be found by whoever looks for all there are; its lock is
        # for threads that are scheduled.
        workers.rest()
        gc.collect(0)
        if was_on:
            gc.enable()

"""
The decisions of a circuit breaker.

.. code-block:: text

    CLOSED ──threshold or rate──▶ OPEN ──cooldown──▶ HALF_OPEN ──successes──▶ CLOSED
                                    ▲                    │
                                    └── failure, or too ─┘
                                        many ignored

Every function takes what is (a :class:`Circuit`), the time and, where a
cooldown may begin, a random number, and returns what is next. Nothing is
changed in place, nothing is looked up. The one exception are the slots of a
window: a step says which one to write (see :mod:`switchgear._core.windows`).

A *generation* is the time between two transitions. A result counts only in
the generation its call was admitted in.
"""

from __future__ import annotations

import math

from typing import NamedTuple

from switchgear._core.outcomes import FAILURE, IGNORED, SUCCESS, Outcome
from switchgear._core.windows import EMPTY, Books, Entry, Ledger, Tally
from switchgear.events import CircuitState


CLOSED = CircuitState.CLOSED
OPEN = CircuitState.OPEN
HALF_OPEN = CircuitState.HALF_OPEN
FORCED_OPEN = CircuitState.FORCED_OPEN
FORCED_CLOSED = CircuitState.FORCED_CLOSED
OBSERVING = CircuitState.OBSERVING

#: After how many ignored probes in a row a circuit without a threshold reopens.
IGNORED_PROBES = 5

#: The generation of calls an observed circuit would have refused: never current.
REFUSED_GENERATION = -1

_NO_BOOKS = Books([], EMPTY)

# Makes a named tuple in half the time that its own __new__ takes.
_new = tuple.__new__


class Policy(NamedTuple):
    """
    Hold the settings of a circuit, in the units decisions are made in.
    """

    threshold: int | None
    ledger: Ledger | None
    cooldown_ns: int
    max_cooldown_ns: int
    cooldown_factor: float
    jitter: float
    half_open_probes: int
    successes_to_close: int
    probe_timeout_ns: int
    slow_ns: int | None


class Lease(NamedTuple):
    """
    Let one probe through, until it reports or its time is up.
    """

    number: int
    expires_ns: int


class Circuit(NamedTuple):
    """
    Hold everything a circuit knows.

    Attributes:
        phase: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``.
        override: ``FORCED_OPEN``, ``FORCED_CLOSED`` or ``OBSERVING``, if an
            operator said so. The phase is then ``CLOSED``, or what it would
            have been for an observed circuit.
        generation: Counts the transitions; greater than zero.
        since_ns: When the generation began.
        streak: Failures in a row.
        hold_ns: Not before then, said the server during this streak.
        due_ns: When an open circuit becomes half-open.
        reopened: How often in a row it opened without having closed.
        leases: The probes that are out.
        leased: How many leases were given in this generation.
        successes: Successful probes in this generation.
        ignored: Ignored probes in a row.
        books: The window.
    """

    phase: CircuitState
    override: CircuitState | None
    generation: int
    since_ns: int
    streak: int = 0
    hold_ns: int | None = None
    due_ns: int = 0
    reopened: int = 0
    leases: tuple[Lease, ...] = ()
    leased: int = 0
    successes: int = 0
    ignored: int = 0
    books: Books = _NO_BOOKS

    @property
    def state(self) -> CircuitState:
        """
        The state the world sees.
        """
        return self.override or self.phase


class Report(NamedTuple):
    """
    Say how a call went.

    Attributes:
        outcome: How it went, its duration left aside.
        generation: The generation it was admitted in; None if it never asked:
            then it counts as a call of the current one.
        lease: Its lease, if it is a probe.
        quick: Whether it took the quick path, where successes are told only
            if they end a streak: such a call does not enter a window.
        duration_ns: How long it took, None if nobody measured.
        cancelled: Whether it was ended from outside.
        hold_ns: Not before then, said the server.
        chance: A random number, at least 0 and less than 1.
    """

    outcome: Outcome
    generation: int | None = None
    lease: Lease | None = None
    quick: bool = False
    duration_ns: int | None = None
    cancelled: bool = False
    hold_ns: int | None = None
    chance: float = 0.5


class Transition(NamedTuple):
    """
    Say that a circuit went from one phase to another, and why.
    """

    at_ns: int
    from_phase: CircuitState
    to_phase: CircuitState
    reason: str = ""
    failures: int = 0
    due_ns: int = 0


class Step(NamedTuple):
    """
    Say what comes next.

    Attributes:
        circuit: The next state; the very same object if nothing changes.
        transitions: What happened on the way.
        entry: What to write into the window of the state before, if anything.
        expired: How many probes were given up as ignored.
        counted: What the call that reported counts as, None if it was given
            up before.
    """

    circuit: Circuit
    transitions: tuple[Transition, ...] = ()
    entry: Entry | None = None
    expired: int = 0
    counted: Outcome | None = None


class Answer(NamedTuple):
    """
    Say whether a call may be made.

    Attributes:
        admitted: Whether it may.
        generation: The generation its result belongs to.
        lease: Its lease, if it is a probe.
        retry_ns: How long a refused call should wait; None if nobody knows.
    """

    admitted: bool
    generation: int = 0
    lease: Lease | None = None
    retry_ns: int | None = None


def fresh(
    policy: Policy,
    now_ns: int,
    *,
    generation: int = 1,
    override: CircuitState | None = None,
) -> Circuit:
    """
    Return a circuit without a past, closed or in the hands of an operator.
    """
    books = policy.ledger.fresh(now_ns) if policy.ledger else _NO_BOOKS
    return Circuit(CLOSED, override, generation, now_ns, books=books)


def look(
    policy: Policy, circuit: Circuit, now_ns: int, chance: float
) -> tuple[Step, Answer]:
    """
    Decide on a call that is not made yet: an answer without a lease.
    """
    if circuit.override is FORCED_OPEN:
        return Step(circuit), Answer(admitted=False)
    step = due(policy, circuit, now_ns, chance)
    left_ns = wait_ns(policy, step.circuit, now_ns)
    return step, Answer(admitted=not left_ns, retry_ns=left_ns)


def admit(
    policy: Policy, circuit: Circuit, now_ns: int, chance: float
) -> tuple[Step, Answer]:
    """
    Decide on a call that would be made now.
    """
    if circuit.override is FORCED_OPEN:
        return Step(circuit), Answer(admitted=False)
    step = due(policy, circuit, now_ns, chance)
    circuit = step.circuit
    if circuit.phase is CLOSED:
        return step, Answer(admitted=True, generation=circuit.generation)
    wait_ns = _wait_ns(policy, circuit, now_ns)
    if not wait_ns:
        number = circuit.leased + 1
        lease = Lease(number, now_ns + policy.probe_timeout_ns)
        leases = (*circuit.leases, lease)
        circuit = circuit._replace(leases=leases, leased=number)
        return step._replace(circuit=circuit), Answer(
            admitted=True, generation=circuit.generation, lease=lease
        )
    if circuit.override is OBSERVING:
        return step, Answer(admitted=True, generation=REFUSED_GENERATION)
    return step, Answer(admitted=False, retry_ns=wait_ns)


def wait_ns(policy: Policy, circuit: Circuit, now_ns: int) -> int | None:
    """
    Return how long a call would have to wait as things stand; 0 means go.
    """
    if circuit.override is FORCED_OPEN:
        return None
    if circuit.override is not None or circuit.phase is CLOSED:
        return 0
    return _wait_ns(policy, circuit, now_ns)


def _wait_ns(policy: Policy, circuit: Circuit, now_ns: int) -> int:
    if circuit.phase is OPEN:
        return max(0, circuit.due_ns - now_ns)
    live = live_leases(circuit, now_ns)
    if len(live) < policy.half_open_probes:
        return 0
    return min(lease.expires_ns for lease in live) - now_ns


def live_leases(circuit: Circuit, now_ns: int) -> list[Lease]:
    """
    Return the probes that are out and have time left.
    """
    return [lease for lease in circuit.leases if lease.expires_ns > now_ns]


def due(policy: Policy, circuit: Circuit, now_ns: int, chance: float) -> Step:
    """
    Do what time alone brings about: give up probes, let an open circuit probe.
    """
    step = expire(policy, circuit, now_ns, chance)
    circuit = step.circuit
    if circuit.phase is not OPEN or now_ns < circuit.due_ns:
        return step
    halved = Circuit(
        HALF_OPEN,
        circuit.override,
        circuit.generation + 1,
        now_ns,
        streak=circuit.streak,
        reopened=circuit.reopened,
        books=circuit.books,
    )
    transition = Transition(now_ns, OPEN, HALF_OPEN)
    return step._replace(circuit=halved, transitions=(*step.transitions, transition))


def expire(policy: Policy, circuit: Circuit, now_ns: int, chance: float) -> Step:
    """
    Give up the probes whose time is up, each at the moment it was.

    So it makes no difference when, or how often, anybody looked.
    """
    live = live_leases(circuit, now_ns)
    if len(live) == len(circuit.leases):
        return Step(circuit)
    ended = sorted(
        lease.expires_ns for lease in circuit.leases if lease.expires_ns <= now_ns
    )
    short = _ignored_limit(policy) - circuit.ignored
    if short <= len(ended):
        at_ns = ended[max(short, 1) - 1]
        step = _open(policy, circuit, at_ns, "probes_ignored", chance)
        return step._replace(expired=max(short, 1))
    waiting = circuit._replace(leases=tuple(live), ignored=circuit.ignored + len(ended))
    return Step(waiting, expired=len(ended))


def record(policy: Policy, circuit: Circuit, report: Report, now_ns: int) -> Step:
    """
    Count the outcome of a call.
    """
    slow = _is_slow(policy, report)
    counted = _counted(policy, circuit, report.outcome, slow=slow)
    generation = report.generation
    stale = generation is not None and generation != circuit.generation
    forced = circuit.override is FORCED_OPEN or circuit.override is FORCED_CLOSED
    # Whatever has become of the circuit since, it is counted already.
    given_up = report.lease is not None and report.lease.expires_ns <= now_ns
    if stale or forced or circuit.phase is OPEN:
        return Step(circuit, counted=None if given_up else counted)
    if circuit.phase is CLOSED:
        return _record_closed(policy, circuit, report, counted, now_ns, slow=slow)
    step = expire(policy, circuit, now_ns, report.chance)
    if given_up or (report.lease is not None and report.lease not in circuit.leases):
        # Its time was up, or it is a probe of the parent of this forked process.
        return step
    if step.circuit.phase is not HALF_OPEN:
        return step._replace(counted=counted)
    after = _record_probe(policy, step.circuit, report, counted, now_ns)
    return after._replace(expired=step.expired)


def adapt(before: Policy, policy: Policy, circuit: Circuit, now_ns: int) -> Circuit:
    """
    Return *circuit* as it goes on under another policy.
    """
    if before.ledger is policy.ledger:
        return circuit
    if policy.ledger is None:
        return circuit._replace(books=_NO_BOOKS)
    if before.ledger is None:
        return circuit._replace(books=policy.ledger.fresh(now_ns))
    books = policy.ledger.adopt(before.ledger, circuit.books, now_ns)
    return circuit._replace(books=books)


def orphaned(policy: Policy, circuit: Circuit, now_ns: int) -> Circuit:
    """
    Return *circuit* as it goes on in a forked child: no probe of its own is out.

    The totals are counted anew, for a slot may have been written without them.
    """
    circuit = circuit._replace(leases=())
    if policy.ledger is None:
        return circuit
    books = policy.ledger.adopt(policy.ledger, circuit.books, now_ns)
    return circuit._replace(books=books)


def tally(policy: Policy, circuit: Circuit, now_ns: int) -> Tally:
    """
    Return the totals of the window at *now_ns*.
    """
    if policy.ledger is None:
        return EMPTY
    return policy.ledger.current(circuit.books, now_ns)


def cooldown_ns(policy: Policy, reopened: int, chance: float) -> int:
    """
    Return how long a circuit stays open that was reopened so often in a row.
    """
    longest, first = policy.max_cooldown_ns, policy.cooldown_ns
    # Compared as logarithms: the power itself may be too large for a float.
    growth = reopened * math.log(policy.cooldown_factor)
    if growth >= math.log(longest / first):
        length = longest
    else:
        length = min(longest, round(first * policy.cooldown_factor**reopened))
    if policy.jitter:
        length = round(length * (1 + policy.jitter * (2 * chance - 1)))
    return max(1, length)


def _record_closed(
    policy: Policy,
    circuit: Circuit,
    report: Report,
    counted: Outcome,
    now_ns: int,
    *,
    slow: bool,
) -> Step:
    hold_ns: int | None
    if counted is FAILURE:
        streak, hold_ns = circuit.streak + 1, _later(circuit.hold_ns, report.hold_ns)
    elif counted is SUCCESS:
        streak, hold_ns = 0, None
    elif slow:
        # Cancelled, and slow: the window hears of it, the streak does not.
        streak, hold_ns = circuit.streak, circuit.hold_ns
    else:
        return Step(circuit, counted=counted)
    if policy.ledger is None or report.quick:
        if streak == circuit.streak:
            return Step(circuit, counted=counted)
        entry, reason, books = None, None, circuit.books
    else:
        failed = counted is FAILURE
        entry = policy.ledger.plan(circuit.books, now_ns, failed=failed, slow=slow)
        reason = policy.ledger.verdict(entry.tally)
        books = _new(Books, (circuit.books[0], entry[2]))
    if policy.threshold is not None and streak >= policy.threshold:
        reason = "failures"
    phase, override, generation, since_ns = circuit[:4]
    # In the order of the fields, six of which mean nothing while it is closed.
    # fmt: off
    after = _new(Circuit, (
        phase, override, generation, since_ns,
        streak, hold_ns, 0, 0, (), 0, 0, 0, books,
    ))
    # fmt: on
    if reason is None:
        return _new(Step, (after, (), entry, 0, counted))
    step = _open(policy, after, now_ns, reason, report.chance)
    return step._replace(entry=entry, counted=counted)


def _record_probe(
    policy: Policy,
    circuit: Circuit,
    report: Report,
    counted: Outcome,
    now_ns: int,
) -> Step:
    if counted is FAILURE:
        failed = circuit._replace(streak=circuit.streak + 1, hold_ns=report.hold_ns)
        step = _open(policy, failed, now_ns, "probe_failed", report.chance)
        return step._replace(counted=counted)
    leases = tuple(one for one in circuit.leases if one != report.lease)
    if counted is IGNORED:
        ignored = circuit.ignored + 1
        after = circuit._replace(leases=leases, ignored=ignored)
        if ignored < _ignored_limit(policy):
            return Step(after, counted=counted)
        step = _open(policy, after, now_ns, "probes_ignored", report.chance)
        return step._replace(counted=counted)
    successes = circuit.successes + 1
    if successes < policy.successes_to_close:
        after = circuit._replace(
            leases=leases, successes=successes, streak=0, ignored=0
        )
        return Step(after, counted=counted)
    closed = fresh(
        policy,
        now_ns,
        generation=circuit.generation + 1,
        override=circuit.override,
    )
    transition = Transition(now_ns, HALF_OPEN, CLOSED, "probes_succeeded")
    return Step(closed, (transition,), counted=counted)


def _open(
    policy: Policy, circuit: Circuit, now_ns: int, reason: str, chance: float
) -> Step:
    reopened = circuit.reopened + 1 if circuit.phase is HALF_OPEN else 0
    due_ns = now_ns + cooldown_ns(policy, reopened, chance)
    if circuit.hold_ns is not None:
        due_ns = max(due_ns, circuit.hold_ns)
    opened = Circuit(
        OPEN,
        circuit.override,
        circuit.generation + 1,
        now_ns,
        streak=circuit.streak,
        due_ns=due_ns,
        reopened=reopened,
        books=circuit.books,
    )
    transition = Transition(now_ns, circuit.phase, OPEN, reason, circuit.streak, due_ns)
    return Step(opened, (transition,))


def _is_slow(policy: Policy, report: Report) -> bool:
    if policy.slow_ns is None or report.duration_ns is None:
        return False
    # Whoever ignored a call said that it says nothing; whoever cancelled it
    # may have lost patience.
    if report.outcome is IGNORED and not report.cancelled:
        return False
    return report.duration_ns > policy.slow_ns


def _counted(
    policy: Policy, circuit: Circuit, outcome: Outcome, *, slow: bool
) -> Outcome:
    """
    Return the outcome of a call, its duration considered.
    """
    if not slow:
        return outcome
    keeper = policy.ledger
    rated = keeper is not None and keeper.window.slow_call_rate is not None
    # Of one probe the rate of slow calls is 0 or 1, and 1 is always too much.
    return outcome if rated and circuit.phase is CLOSED else FAILURE


def _ignored_limit(policy: Policy) -> int:
    return IGNORED_PROBES if policy.threshold is None else policy.threshold


def _later(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)

from __future__ import annotations

from timeline import Band, Limit, Timeline, Waiting, timeline


def host_of(entries):
    (host,) = timeline(entries).hosts
    return host


class TestTimeline:
    def test_nothing(self):
        """
        If nothing happened, there is nothing to tell.
        """
        assert Timeline(0.0, ()) == timeline([])

    def test_the_end(self, entry):
        """
        If the end is there, it says how long it took and what came of it.
        """
        told = timeline(
            [
                entry(0.5, "call_sent"),
                entry(2.5, "run_ended", None, images=9, arrived=8, interrupted=True),
            ]
        )

        assert (2.5, 9, 8, True) == (
            told.seconds,
            told.images,
            told.arrived,
            told.interrupted,
        )

    def test_no_end(self, entry):
        """
        If the end is missing, it took until the last thing that is known.
        """
        told = timeline([entry(0.5, "call_sent"), entry(1.5, "call_failed")])

        assert (1.5, None, False) == (told.seconds, told.images, told.interrupted)

    def test_calls(self, entry):
        """
        If calls were sent and refused by two hosts, each has its own, in order
        of time, however they come.
        """
        told = timeline(
            [
                entry(0.3, "call_sent", "b"),
                entry(0.2, "call_sent", "a"),
                entry(0.1, "call_sent", "b"),
                entry(0.4, "call_failed", "b"),
                entry(0.5, "call_sent_away", "b"),
                entry(0.6, "circuit_refused", "b"),
                entry(0.7, "rate_limit_refused", "b"),
                entry(0.8, "something_else", "b"),
                entry(0.9, "keys_exceeded", None),
            ]
        )

        b, a = told.hosts

        assert ("b", (0.1, 0.3), (0.4,), (0.5,), (0.6, 0.7)) == (
            b.host,
            b.sent,
            b.failed,
            b.sent_away,
            b.refused,
        )
        assert ("a", (0.2,), ()) == (a.host, a.sent, a.failed)

    def test_samples(self, sample):
        """
        If limiters were looked at, all is known of the queue, and of limits
        what is new.
        """
        host = host_of(
            [
                sample(0.0, 0),
                sample(1.0, 5),
                sample(2.0, 3, rate=2.0),
                sample(3.0, rate=2.0),
            ]
        )

        assert (
            Waiting(0.0, 0),
            Waiting(1.0, 5),
            Waiting(2.0, 3),
            Waiting(3.0, 0),
        ) == host.waiting
        assert (Limit(0.0, 20.0, 5), Limit(2.0, 2.0, 5)) == host.limits


class TestCircuit:
    def test_it_is_closed(self, entry):
        """
        If nothing is told of a circuit, it was closed from beginning to end.
        """
        assert (Band(0.0, 2.0, "closed"),) == host_of([entry(2.0, "call_sent")]).circuit

    def test_transitions(self, entry):
        """
        If a circuit changes, there is a band for each state, without a gap.
        """
        host = host_of(
            [
                entry(1.0, "circuit_opened"),
                entry(2.0, "circuit_half_opened"),
                entry(2.5, "circuit_closed"),
                entry(3.0, "circuit_forced", to_state="observing"),
                entry(4.0, "call_sent"),
            ]
        )

        assert (
            Band(0.0, 1.0, "closed"),
            Band(1.0, 2.0, "open"),
            Band(2.0, 2.5, "half_open"),
            Band(2.5, 3.0, "closed"),
            Band(3.0, 4.0, "observing"),
        ) == host.circuit

    def test_no_time_at_all(self, entry):
        """
        If a state lasted no time, it is left out.
        """
        host = host_of(
            [
                entry(0.0, "circuit_opened"),
                entry(0.0, "circuit_half_opened"),
                entry(1.0, "call_sent"),
            ]
        )

        assert (Band(0.0, 1.0, "half_open"),) == host.circuit

    def test_no_change_at_all(self, entry):
        """
        If a state came back at once, it went on.
        """
        host = host_of(
            [
                entry(1.0, "circuit_opened"),
                entry(2.0, "circuit_half_opened"),
                entry(2.0, "circuit_opened"),
                entry(3.0, "call_sent"),
            ]
        )

        assert (Band(0.0, 1.0, "closed"), Band(1.0, 3.0, "open")) == host.circuit


class TestLimiter:
    def test_it_just_limits(self, entry):
        """
        If it was neither paused nor closed, there is nothing to tell.
        """
        assert () == host_of([entry(2.0, "call_sent")]).limiter

    def test_pauses(self, entry):
        """
        If a pause comes during another, it extends it or does nothing; one
        that outlasts the run ends with it.
        """
        host = host_of(
            [
                entry(1.0, "limiter_paused", paused_for=1.0),
                entry(1.5, "limiter_paused", paused_for=1.0),
                entry(1.7, "limiter_paused", paused_for=0.1),
                entry(4.0, "limiter_paused", paused_for=9.0),
                entry(5.0, "call_sent"),
            ]
        )

        assert (Band(1.0, 2.5, "paused"), Band(4.0, 5.0, "paused")) == host.limiter

    def test_closed(self, entry):
        """
        If it is closed, that ends a pause, and lasts until it is reopened.
        """
        host = host_of(
            [
                entry(0.0, "limiter_reopened"),
                entry(1.0, "limiter_paused", paused_for=5.0),
                entry(2.0, "limiter_closed"),
                entry(2.5, "limiter_paused", paused_for=1.0),
                entry(3.0, "limiter_reopened"),
                entry(4.0, "limiter_closed"),
                entry(5.0, "call_sent"),
            ]
        )

        assert (
            Band(1.0, 2.0, "paused"),
            Band(2.0, 3.0, "closed"),
            Band(4.0, 5.0, "closed"),
        ) == host.limiter

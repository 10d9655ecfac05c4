from __future__ import annotations

from explorer import Race

from switchgear import CircuitBreaker, Keyed, RateLimiter, Registry
from switchgear.testing import ManualClock


def limiters(*keys, max_keys=10, burst=2):
    """
    Limiters of one per second, of which there are some.
    """
    clock = ManualClock()
    keyed = Keyed(
        lambda key: RateLimiter(1, burst=burst, clock=clock), max_keys=max_keys
    )
    for key in keys:
        keyed[key]
    return keyed


def is_tidy(keyed):
    """
    Answer whether all that is kept is there once, and nothing else is.
    """
    kept = [slot for slot in keyed._ring if not slot.gone]
    return (
        {*map(id, kept)} == {*map(id, keyed._all())}
        and len(kept) == len(keyed)
        and all(slot.instance is not None for slot in kept)
    )


class TestMaking:
    def test_what_is_changed_alone_comes_after_all(self, explored):
        """
        If an instance is made while all are changed, and then changed alone, it
        keeps that.
        """

        def race():
            keyed = limiters()

            def change():
                keyed.reconfigure(burst=3)
                one = keyed.get("k")
                if one is not None:
                    one.reconfigure(burst=9)
                return one

            def check(outcomes):
                burst = 3 if outcomes[1].value is None else 9
                assert burst == keyed["k"].snapshot().burst
                assert is_tidy(keyed)

            return Race([lambda: keyed["k"], change], check)

        explored(race, preemptions=1, limit=300)
        explored(race, every_step=False)

    def test_closed_alone_after_all_were_changed(self, explored):
        """
        If an instance is made while all are changed, and then closed alone, it
        stays closed.
        """

        def race():
            keyed = limiters()

            def close():
                keyed.reconfigure(burst=3)
                one = keyed.get("k")
                if one is not None:
                    one.close("alone")
                return one

            def check(outcomes):
                reason = None if outcomes[1].value is None else "alone"
                assert reason == keyed["k"].snapshot().closed
                assert 3 == keyed["k"].snapshot().burst

            return Race([lambda: keyed["k"], close], check)

        explored(race, preemptions=1, limit=300)
        explored(race, every_step=False)

    def test_closed_and_reopened(self, explored):
        """
        If all are closed and reopened while one is made, it is open.
        """

        def race():
            keyed = limiters("a")

            def close():
                keyed.close("all")
                keyed.reopen()

            def check(outcomes):
                assert [None] * 2 == [
                    keyed[key].snapshot().closed for key in ("a", "k")
                ]

            return Race([lambda: keyed["k"], close], check)

        explored(race, preemptions=1, limit=300)
        explored(race, every_step=False)

    def test_closed_while_reopened(self, explored):
        """
        If one thread closes all while another reopens them, all end up alike, and
        so do those that are made later.
        """

        def race():
            keyed = limiters("a", "b")
            keyed.close("before")

            def check(outcomes):
                states = {keyed[key].snapshot().closed for key in ("a", "b", "c")}
                assert 1 == len(states)
                assert states < {None, "all"}

            return Race([lambda: keyed.close("all"), keyed.reopen], check)

        explored(race, preemptions=1, limit=300)
        explored(race, every_step=False)

    def test_loaded(self, explored):
        """
        If other settings are loaded while one is made, below what was changed at
        run time, it has the settings that all have.
        """

        def race():
            names = Registry()
            keyed = names.keyed_limiter("a", calls_per_second=5, burst=2)
            keyed["old"]
            keyed.reconfigure(burst=9)
            tables = {"limiters": {"a": {"calls_per_second": 3, "burst": 4}}}

            def check(outcomes):
                expected = {"calls_per_second": 3.0, "burst": 9, "max_waiters": None}
                assert [expected] * 3 == [
                    keyed[key].settings() for key in ("old", "k", "new")
                ]

            return Race(
                [lambda: keyed["k"] and None, lambda: names.configure(tables) and None],
                check,
            )

        explored(race, limit=100)
        explored(race, every_step=False, limit=100)

    def test_reset(self, explored):
        """
        If all are reset while one is made and charged, none is over-full, and the
        one is the one that is there.
        """

        def race():
            keyed = limiters("a", burst=1)
            keyed["a"].try_acquire()

            def make():
                one = keyed["k"]
                one.try_acquire()
                return one

            def check(outcomes):
                assert outcomes[0].value is keyed["k"]
                assert 1 == keyed["a"].snapshot().available
                assert keyed["k"].snapshot().available in {0, 1}
                assert is_tidy(keyed)

            return Race([make, keyed.reset], check)

        explored(race, preemptions=1, limit=300)
        explored(race, every_step=False)

    def test_closed(self, explored):
        """
        If all are closed while one is made, it is closed.
        """

        def race():
            keyed = limiters("a")

            def check(outcomes):
                assert ["all"] * 2 == [
                    keyed[key].snapshot().closed for key in ("a", "k")
                ]

            return Race([lambda: keyed["k"], lambda: keyed.close("all")], check)

        explored(race, preemptions=1, limit=300)

    def test_two_changes(self, explored):
        """
        If one thread changes this of all, another that, those that are made later
        have both.
        """

        def race():
            keyed = limiters()

            def check(outcomes):
                settings = keyed["k"].settings()
                assert (1, 7) == (settings["burst"], settings["calls_per_second"])

            return Race(
                [
                    lambda: keyed.reconfigure(burst=1),
                    lambda: keyed.reconfigure(calls_per_second=7),
                ],
                check,
            )

        explored(race, preemptions=1, limit=300)

    def test_two_makers(self, explored):
        """
        If two make one instance, both get the same.
        """

        def race():
            keyed = limiters()

            def check(outcomes):
                assert outcomes[0].value is outcomes[1].value is keyed["k"]
                assert is_tidy(keyed)

            return Race([lambda: keyed["k"]] * 2, check)

        explored(race, preemptions=1, limit=300)

    def test_two_makers_and_a_change(self, explored):
        """
        If two make one instance while all are changed, both get the same, and it
        is as all are.
        """

        def race():
            keyed = limiters()

            def check(outcomes):
                assert outcomes[0].value is outcomes[1].value is keyed["k"]
                assert 3 == keyed["k"].snapshot().burst
                assert ["k"] == list(keyed)
                assert is_tidy(keyed)

            return Race(
                [
                    lambda: keyed["k"],
                    lambda: keyed["k"],
                    lambda: keyed.reconfigure(burst=3),
                ],
                check,
            )

        explored(race, every_step=False, limit=1000)

    def test_run_time_is_forgotten(self, explored):
        """
        If what was changed at run time is forgotten while an instance is made, it
        is as the layers say.
        """

        def race():
            names = Registry()
            keyed = names.keyed_limiter("a", burst=2)
            keyed.reconfigure(burst=9)

            def check(outcomes):
                assert 2 == keyed["k"].settings()["burst"]

            return Race(
                [lambda: keyed["k"], lambda: names.forget_changes("a")],
                check,
            )

        explored(race, limit=100)
        explored(race, every_step=False, limit=100)


class TestForgetting:
    def test_a_debt_made_meanwhile(self, explored):
        """
        If one is charged while it is being forgotten, it owes that afterwards.
        """

        def race():
            keyed = limiters("a", max_keys=1, burst=1)

            def check(outcomes):
                assert 0 == keyed["a"].snapshot().available
                assert is_tidy(keyed)

            return Race(
                [lambda: keyed["b"], lambda: keyed["a"].try_acquire() and None], check
            )

        explored(race, limit=300)
        explored(race, every_step=False)

    def test_a_debt_of_one_that_another_made(self, explored):
        """
        If two make one, and the second charges it while the first forgets it, it
        owes that afterwards.
        """

        def race():
            clock = ManualClock()

            def make(key):
                # A place to be stopped at.
                with keyed._lock:
                    return RateLimiter(1, burst=1, clock=clock)

            keyed = Keyed(make, max_keys=1)

            def make_and_forget():
                keyed["a"]
                keyed["b"]

            def check(outcomes):
                assert 0 == keyed["a"].snapshot().available
                assert is_tidy(keyed)

            return Race(
                [make_and_forget, lambda: keyed["a"].try_acquire() and None], check
            )

        explored(race, every_step=False)

    def test_who_holds_one_has_the_one(self, explored):
        """
        If one is looked up while it is being forgotten, whoever got it holds the
        one that is there.
        """

        def race():
            keyed = limiters("a", max_keys=1)

            def check(outcomes):
                got = outcomes[1].value
                assert got is keyed.get("a")
                assert is_tidy(keyed)

            return Race([lambda: keyed["b"], lambda: keyed.get("a")], check)

        explored(race, limit=300)
        explored(race, every_step=False)

    def test_one_that_stays_is_seen_all_the_time(self, explored):
        """
        If one is held that is nearly forgotten, everybody finds it meanwhile.
        """

        def race():
            keyed = limiters("a", max_keys=1)
            held = [keyed["a"]]

            def look():
                seen = "a" in keyed, keyed.get("a") is not None, [*keyed.snapshot()]
                return (*seen, held[0])

            def check(outcomes):
                *seen, one = outcomes[1].value
                assert [True, True] == seen[:2]
                assert "a" in seen[2]
                assert one is keyed["a"]

            return Race([lambda: keyed["b"] and None, look], check)

        explored(race, limit=300)

    def test_all_are_paused(self, explored):
        """
        If all are paused while one is nearly forgotten, it is paused if it stays.
        """

        def race():
            keyed = limiters("a", max_keys=1)
            # Looked up once more, so that it is not looked at twice.
            keyed["a"]

            def check(outcomes):
                one = keyed.get("a")
                assert one is None or 60.0 == one.snapshot().paused_for

            return Race([lambda: keyed["b"] and None, lambda: keyed.pause(60)], check)

        explored(race, preemptions=1, limit=1000)

    def test_all_are_changed(self, explored):
        """
        If all are changed while one is being forgotten, it is changed if it
        stays, and comes back changed if not.
        """

        def race():
            keyed = limiters("a", max_keys=1)

            def check(outcomes):
                assert [3, 3] == [keyed[key].snapshot().burst for key in ("a", "b")]
                assert is_tidy(keyed)

            return Race(
                [lambda: keyed["b"] and None, lambda: keyed.reconfigure(burst=3)], check
            )

        explored(race, limit=250)
        explored(race, every_step=False, limit=100)

    def test_one_that_was_changed_alone(self, explored):
        """
        If one is changed alone while all are, it is not forgotten afterwards.
        """

        def race():
            keyed = limiters("a", max_keys=1)

            def check(outcomes):
                for key in "bcd":
                    keyed[key]
                assert 7.0 == keyed["a"].settings()["calls_per_second"]
                assert 1 == keyed["a"].snapshot().burst

            return Race(
                [
                    lambda: keyed.reconfigure(burst=1),
                    lambda: keyed["a"].reconfigure(calls_per_second=7),
                ],
                check,
            )

        explored(race, preemptions=1, limit=300)
        explored(race, every_step=False, limit=100)

    def test_two_forget(self, explored):
        """
        If two threads make room at once, what is left is tidy.
        """

        def race():
            keyed = limiters("a", "b", max_keys=2)

            def check(outcomes):
                for key in "efgh":
                    keyed[key]
                assert 2 == len(keyed)
                assert is_tidy(keyed)

            return Race(
                [lambda: keyed["c"] and None, lambda: keyed["d"] and None], check
            )

        explored(race, limit=200)
        explored(race, every_step=False, limit=200)

    def test_a_failure_is_not_forgiven(self, explored):
        """
        If a breaker counts a failure while it is being forgotten, the failure
        stays.
        """

        def race():
            clock = ManualClock()
            keyed = Keyed(lambda key: CircuitBreaker(clock=clock), max_keys=1)
            keyed["a"]

            def fail():
                keyed["a"].record_failure()

            def check(outcomes):
                assert 1 == keyed["a"].snapshot().failures

            return Race([lambda: keyed["b"] and None, fail], check)

        explored(race, limit=300)
        explored(race, every_step=False)

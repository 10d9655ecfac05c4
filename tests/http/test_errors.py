"""
Refusals that have two bases, one of the client's own.
"""

from __future__ import annotations

import pickle

import pytest

from clients import ALL

from switchgear import CircuitState


@pytest.fixture(params=ALL, ids=lambda one: one.__name__)
def errors(request):
    one = request.param("api", calls_per_second=1.0, threshold=1)
    yield one.errors
    one.close()


class TestRefusals:
    """
    The errors of a client's requests that are not made.
    """

    def test_travel(self, errors):
        """
        If they are pickled, they arrive as they were, class included.
        """
        circuit = errors.circuit("api", CircuitState.OPEN, 7.0, ValueError("down"))
        rate = errors.rate("api", 3.0, "it is full")
        burst = errors.burst("api", tokens=5, burst=2)

        for error in circuit, rate, burst:
            arrived = pickle.loads(pickle.dumps(error))
            assert type(arrived) is type(error)
            assert str(arrived) == str(error)
            assert arrived.__dict__.keys() == error.__dict__.keys()
            assert arrived.retry_after == error.retry_after

    def test_say_what_they_say_elsewhere(self, errors):
        """
        If they are shown, they read as those of functions do.
        """
        assert str(errors.rate("api", 3.0)) == (
            "rate limiter 'api': no token is free; retry in 3 s"
        )
        assert str(errors.circuit("api", CircuitState.OPEN, 7.0)) == (
            "circuit 'api' is open: call refused; retry in 7 s"
        )

    def test_are_the_clients_own(self, errors):
        """
        If somebody catches all that goes wrong with requests, they are among that.
        """
        for kind in errors.circuit, errors.rate, errors.burst:
            assert issubclass(kind, errors.base)
            assert not issubclass(kind, errors.leaves)

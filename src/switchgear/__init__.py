"""
Rate limiters and circuit breakers for outbound calls.
"""

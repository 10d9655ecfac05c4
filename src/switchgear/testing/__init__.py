"""
Test code that uses switchgear without sleeping.
"""

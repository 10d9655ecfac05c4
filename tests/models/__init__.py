"""
Reference models, and what runs beside them.
"""

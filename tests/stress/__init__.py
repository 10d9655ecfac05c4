"""
Programs that hammer shared objects; pytest does not collect them.
"""

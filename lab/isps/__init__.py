"""The lab's three internet providers: each takes orders in its own way and enforces them on a resolver of its own.

*norte* subscribes to the authority's policy zone, *sur* reads e-mail, *andes* has an API.
"""

"""Pure rules of the field: no input or output, no clock, nothing of ours above it.

One module per stage of a case, in the order in which a case travels: intake, evidence, review, notification,
verification; ``case`` holds the stages themselves and ``terms`` the legal terms that a case runs under.
"""

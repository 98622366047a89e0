"""A small machine that reads pickles as data: the parts of `models.checkpoints.unpickle`.

Every operation code is ours, so nothing in a file can name an attribute, import a module or
call what was not put into the table in `admitted`; and each step is paid for from a budget.
"""

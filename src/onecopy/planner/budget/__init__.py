"""Budgets: the largest parameters whose bytes fit.

    form      bytes as a function of whole numbers, from a sympy expression
    relaxed   a lower bound of it that is linear, for searches in several directions
    domain    between which values each parameter may be
    search    branch and bound over boxes of parameters
    fit       `fit`: the best values under a budget

The formula is what is searched: it takes microseconds where a run takes seconds.
"""

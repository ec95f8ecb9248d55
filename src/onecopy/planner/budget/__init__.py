"""Budgets: the largest parameters whose bytes fit, by the formula, and then measured.

    form         bytes as a function of whole numbers, from a sympy expression
    relaxed      a lower bound of it that is linear, for searches in several directions
    domain       between which values each parameter may be
    boxes        boxes of parameters, and where the least bytes are in one
    search       branch and bound over boxes of parameters
    fitting      `fit`: the best values under a budget
    trade_off    `table`: the best value of one parameter for each of another
    certificate  `certify`: the largest values that fit when they are run
    edge         the largest value of one dimension, and the next one, which does not fit
    prober       the process in which it is run, as seen from here
    probe        that process
    subjects     plans and modules by name: a function, a file, a folder
    decoders     language models of transformers

The formula is what is searched, for it takes microseconds where a run takes seconds.
"""

from __future__ import annotations

from onecopy.planner.budget.certificate import Certificate, certify
from onecopy.planner.budget.fitting import Fit, fit
from onecopy.planner.budget.prober import Measured
from onecopy.planner.budget.trade_off import TradeOff, table

__all__ = ["Certificate", "Fit", "Measured", "TradeOff", "certify", "fit", "table"]

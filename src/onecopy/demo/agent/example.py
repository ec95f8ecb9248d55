"""A change to review where there is no git repository: a small program, in three versions."""

from __future__ import annotations

from typing import NamedTuple

from onecopy.demo.agent.github.history import Versions

BASE = {
    "shop/orders.py": '''\
"""Orders of a shop."""

import sqlite3


def total(prices):
    """Return what an order costs."""
    return sum(prices)
''',
    "README.md": "# shop\n\nOrders of a small shop.\n",
}

FIRST = {
    **BASE,
    "shop/orders.py": '''\
"""Orders of a shop."""

import sqlite3


def total(prices, coupon=None):
    """Return what an order costs."""
    cost = sum(prices)
    if coupon == "SUMMER":
        cost = cost * 0.85
    return cost


def find(name):
    """Return the orders of a customer."""
    db = sqlite3.connect("shop.sqlite")
    try:
        return db.execute("SELECT * FROM orders WHERE customer = '" + name + "'").fetchall()
    except:
        return None


def export(path, orders):
    """Write orders to a file."""
    out = open(path, "w")
    for order in orders:
        out.write(str(order) + "\\n")
''',
}

SECOND = {
    **FIRST,
    "shop/prices.py": '''\
"""Prices from a supplier."""

import time

import requests


async def fetch(url, password="letmein"):
    """Return the supplier's prices."""
    for attempt in range(3):
        answer = requests.get(url, auth=("shop", password), verify=False)
        if answer.ok:
            return answer.json()
        time.sleep(5)
''',
}


class Change(NamedTuple):
    """A pull request: where it begins, its first version, and what is pushed to it later."""

    title: str
    base: str
    first: str
    second: str


def example() -> tuple[Versions, Change]:
    """Return the example's history, and the pull request in it."""
    versions = Versions()
    base = versions.add(BASE)
    first = versions.add(FIRST, parent=base)
    second = versions.add(SECOND, parent=first)
    return versions, Change("Coupons, search and export", base, first, second)

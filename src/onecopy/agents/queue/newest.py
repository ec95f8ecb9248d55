"""The newest rows of a table, page by page: for lists of events and of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def newest(
    columns: str, table: str, number: str, wanted: Mapping[str, Any], before: str | None, limit: int
) -> tuple[str, list[Any]]:
    """Return a SELECT and its values.

    Args:
        columns: What is selected.
        table: Where from; it has a column `id`.
        number: The column that grows.
        wanted: Columns and what they have to be; None for anything.
        before: The id of the last row of the page before.
        limit: The most rows.

    >>> newest("id", "runs", "n", {"agent": "bot", "status": None}, None, 9)
    ('SELECT id FROM runs WHERE agent = ? ORDER BY n DESC LIMIT ?', ['bot', 9])
    """
    terms = [f"{name} = ?" for name, value in wanted.items() if value is not None]
    values = [value for value in wanted.values() if value is not None]
    if before is not None:
        terms.append(f"{number} < (SELECT {number} FROM {table} WHERE id = ?)")
        values.append(before)
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    statement = f"SELECT {columns} FROM {table}{where} ORDER BY {number} DESC LIMIT ?"
    return statement, [*values, limit]

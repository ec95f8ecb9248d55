"""The file of run records.

It is not the queue's: what is in a record is large and nobody waits for it, so it must not be in
front of an event in the log that a webhook's answer waits for.
"""

from __future__ import annotations

from onecopy.agents.queue.file import Schema

_FIRST = """
CREATE TABLE runs (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    event TEXT NOT NULL,
    agent TEXT NOT NULL,
    trigger TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    component TEXT NOT NULL,
    seed BLOB NOT NULL,
    time_ns INTEGER NOT NULL,
    given BLOB NOT NULL,                    -- packed: the event as the guest got it
    started REAL NOT NULL,                  -- seconds since 1970
    ended REAL,
    status TEXT NOT NULL DEFAULT 'running', -- then that of the outcome
    outcome BLOB,                           -- packed JSON
    calls INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    usd REAL NOT NULL DEFAULT 0,
    inexact TEXT NOT NULL DEFAULT ''        -- why it cannot be replayed
);
CREATE INDEX of_agent ON runs (agent, n);
CREATE INDEX of_event ON runs (event);
CREATE INDEX unended ON runs (n) WHERE ended IS NULL;

CREATE TABLE items (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,                   -- from 1
    sort TEXT NOT NULL,                     -- call, log, step or usage
    at REAL NOT NULL,
    seconds REAL NOT NULL,
    name TEXT NOT NULL,                     -- of the call or step; a level; a model
    error TEXT NOT NULL,                    -- the code of a call's refusal
    size INTEGER NOT NULL,                  -- bytes of the JSON
    body BLOB,                              -- packed JSON; NULL if it was too large
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;

CREATE TABLE totals (
    day INTEGER NOT NULL,                   -- since 1970, UTC
    agent TEXT NOT NULL,
    runs INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    usd REAL NOT NULL,
    PRIMARY KEY (day, agent)
) WITHOUT ROWID
"""

# Which of the processes that write the file: its number (queue/lock.py), while it lives.
_SECOND = "ALTER TABLE runs ADD COLUMN owner INTEGER NOT NULL DEFAULT 0"

SCHEMA = Schema("a file of run records", 0x6F63_7272, (_FIRST, _SECOND))  # "ocrr"

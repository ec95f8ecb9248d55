"""The file of events: tables, and the states that an event goes through.

    queued ──► running ──► done
      ▲  │        │ ╰────► dead ──► queued     revived, by a redelivery or a person
      │  │        │
      ╰──┼────────╯                            to be tried again
         ╰► superseded                         a newer event of its class came

`done`, `dead` and `superseded` are ends. Each arrow is one transaction, and they are all that there
are: tests have a trigger of the database watch them.
"""

from __future__ import annotations

from typing import Final

from onecopy.agents.queue.file import Schema

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
DEAD: Final = "dead"
SUPERSEDED: Final = "superseded"
STATES = (QUEUED, RUNNING, DONE, DEAD, SUPERSEDED)
ENDS = (DONE, DEAD, SUPERSEDED)

_FIRST = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of arrival
    id TEXT NOT NULL UNIQUE,
    agent TEXT NOT NULL,
    trigger TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    class TEXT NOT NULL,                    -- of coalescing; '' for never
    delivery TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('queued', 'running', 'done', 'dead', 'superseded')),
    attempt INTEGER NOT NULL DEFAULT 0,     -- those that have begun
    attempts INTEGER NOT NULL,              -- after which it is dead
    received REAL NOT NULL,                 -- all times: seconds since 1970
    due REAL NOT NULL DEFAULT 0,            -- not before; 0 for at once
    started REAL,                           -- of the last attempt
    ended REAL,
    successor TEXT,                         -- of one that is superseded
    why TEXT NOT NULL DEFAULT ''            -- of its end, or of its last failure
);
-- Apart, or each change of a state would write it anew.
CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    body BLOB NOT NULL                      -- JSON: fields, payload
);
CREATE INDEX waiting ON events (agent, subject, due, seq) WHERE state = 'queued';
CREATE INDEX running ON events (agent, subject) WHERE state = 'running';
CREATE INDEX ended ON events (state, ended, agent) WHERE ended IS NOT NULL;

-- Subjects that have events to run: what `take` looks at. Derived from `events`.
CREATE TABLE subjects (
    agent TEXT NOT NULL,
    subject TEXT NOT NULL,
    turn INTEGER NOT NULL,                  -- the least is next
    due REAL,                               -- of its next event; NULL if none waits
    busy INTEGER NOT NULL,                  -- 1 while one runs
    PRIMARY KEY (agent, subject)
) WITHOUT ROWID;
CREATE INDEX turns ON subjects (agent, turn, due) WHERE busy = 0;
CREATE INDEX dues ON subjects (agent, due) WHERE busy = 0;

-- Deliveries and bodies that have come, for longer than their events are kept.
CREATE TABLE seen (
    n INTEGER PRIMARY KEY AUTOINCREMENT,    -- in order of time
    key BLOB NOT NULL UNIQUE,               -- a hash
    event TEXT NOT NULL,
    received REAL NOT NULL
);

CREATE TABLE schedules (
    agent TEXT NOT NULL,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    last REAL NOT NULL,                     -- the due time up to which all is dealt with
    PRIMARY KEY (agent, name)
) WITHOUT ROWID
"""

# How often a clock that was far ahead has been set back since the schedule began.
_SECOND = "ALTER TABLE schedules ADD COLUMN corrections INTEGER NOT NULL DEFAULT 0"

SCHEMA = Schema("a queue of events of onecopy agents", 0x6F63_6571, (_FIRST, _SECOND))  # "oceq"

-- Accepted findings: asked for, decided, applied to findings, ended. Never deleted.
CREATE TABLE exceptions (
    id {id},
    status TEXT NOT NULL,                     -- pending, approved, denied, canceled, expired, ended-by-fix
    source TEXT NOT NULL DEFAULT '',          -- vex; empty: by hand
    target_id BIGINT NOT NULL DEFAULT 0,      -- of the scope, as are those down to scope; 0 is all targets
    namespace TEXT NOT NULL DEFAULT '',       -- may be a pattern
    rule TEXT NOT NULL DEFAULT '',
    cve TEXT NOT NULL DEFAULT '',
    package TEXT NOT NULL DEFAULT '',
    image TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL DEFAULT '',
    scope TEXT NOT NULL,                      -- exception.Scope as JSON: all of it
    reason TEXT NOT NULL,
    category TEXT NOT NULL,                   -- risk-accepted, false-positive, mitigated, not-relevant, other
    requester_id BIGINT NOT NULL DEFAULT 0,
    requester TEXT NOT NULL,                  -- name at the time
    approver_id BIGINT NOT NULL DEFAULT 0,    -- who approved or denied
    approver TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',            -- of the approver
    asked_at BIGINT NOT NULL,
    decided_at BIGINT NOT NULL DEFAULT 0,
    expires_at BIGINT NOT NULL DEFAULT 0,     -- first moment at which it does not hold any more; 0: none
    until_fix BOOLEAN NOT NULL DEFAULT FALSE, -- does not hold for findings whose fix is known
    ended_at BIGINT NOT NULL DEFAULT 0,
    changed_at BIGINT NOT NULL,               -- of status
    settled BOOLEAN NOT NULL DEFAULT TRUE,    -- the findings agree with the status
    checked_at BIGINT NOT NULL DEFAULT 0,     -- when accepted findings were last held against the scope again
    told BOOLEAN NOT NULL DEFAULT FALSE,      -- the message of its end is written
    reminded BOOLEAN NOT NULL DEFAULT FALSE,  -- the message before its end is written
    reopened INTEGER NOT NULL DEFAULT 0,      -- findings that were reopened
    used_at BIGINT NOT NULL DEFAULT 0,        -- when a finding was last accepted by it, as far as sweeps saw
    unused BOOLEAN NOT NULL DEFAULT FALSE,    -- approved, and nothing to accept
    revision INTEGER NOT NULL DEFAULT 1       -- counts changes by people
);
CREATE INDEX exceptions_status ON exceptions (status, id);
CREATE INDEX exceptions_target ON exceptions (target_id, id);
CREATE INDEX exceptions_cve ON exceptions (cve, target_id) WHERE cve <> '';
CREATE INDEX exceptions_expires ON exceptions (status, expires_at, id);
CREATE INDEX exceptions_unsettled ON exceptions (id) WHERE settled = FALSE;

-- What people say about an exception.
CREATE TABLE exception_comments (
    id {id},
    exception_id BIGINT NOT NULL REFERENCES exceptions (id),
    at BIGINT NOT NULL,
    user_id BIGINT NOT NULL DEFAULT 0,
    name TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX exception_comments_exception ON exception_comments (exception_id, id);

-- Counts changes of approved exceptions, so that every replica knows when to read them again.
CREATE TABLE exception_state (
    id INTEGER PRIMARY KEY,
    version BIGINT NOT NULL
);
INSERT INTO exception_state (id, version) VALUES (1, 1);

-- Labels of the pods of workloads at the last look, as JSON: for scopes with a label selector.
ALTER TABLE assets ADD COLUMN labels TEXT NOT NULL DEFAULT '';

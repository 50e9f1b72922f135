-- The place of a clause in its framework.
ALTER TABLE clauses ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;
CREATE INDEX clauses_framework ON clauses (framework, ordinal, clause, target_id);

-- The last look at which a framework was judged in a target, and how many of its clauses had which verdict.
CREATE TABLE judged (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    framework TEXT NOT NULL,
    at BIGINT NOT NULL,
    run_id BIGINT NOT NULL,
    pass INTEGER NOT NULL,
    fail INTEGER NOT NULL,
    manual INTEGER NOT NULL,
    not_applicable INTEGER NOT NULL,
    PRIMARY KEY (target_id, framework)
);
INSERT INTO judged (target_id, framework, at, run_id, pass, fail, manual, not_applicable)
SELECT c.target_id, c.framework, max(c.updated_at), max(t.run_id),
    sum(CASE WHEN c.status = 'pass' THEN 1 ELSE 0 END), sum(CASE WHEN c.status = 'fail' THEN 1 ELSE 0 END),
    sum(CASE WHEN c.status = 'manual' THEN 1 ELSE 0 END), sum(CASE WHEN c.status = 'not-applicable' THEN 1 ELSE 0 END)
FROM clauses AS c JOIN targets AS t ON t.id = c.target_id GROUP BY c.target_id, c.framework;

-- The verdicts at the end of each day (UTC) on which they changed. A day without a row is as the one before.
CREATE TABLE judged_days (
    target_id BIGINT NOT NULL,
    framework TEXT NOT NULL,
    day INTEGER NOT NULL,                   -- days since 1970
    pass INTEGER NOT NULL,
    fail INTEGER NOT NULL,
    manual INTEGER NOT NULL,
    not_applicable INTEGER NOT NULL,
    PRIMARY KEY (framework, target_id, day)
);
INSERT INTO judged_days (target_id, framework, day, pass, fail, manual, not_applicable)
SELECT target_id, framework, at / 86400000, pass, fail, manual, not_applicable FROM judged;

-- What people found out by hand of clauses that rules do not decide. The latest that was not withdrawn holds until it expires.
CREATE TABLE attestations (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    framework TEXT NOT NULL,
    clause TEXT NOT NULL,
    verdict TEXT NOT NULL,                  -- pass, fail, not-applicable
    note TEXT NOT NULL,
    evidence TEXT NOT NULL DEFAULT '',
    user_id BIGINT NOT NULL,
    by_name TEXT NOT NULL,                  -- at the time
    at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0      -- withdrawn, or replaced by a later one
);
CREATE INDEX attestations_clause ON attestations (target_id, framework, clause, id);
CREATE INDEX attestations_current ON attestations (framework, target_id) WHERE ended_at = 0;

-- Findings that people or exceptions set aside, by what they break: clauses say how many.
CREATE INDEX findings_aside ON findings (rule, target_id, status) WHERE status IN (4, 5, 6);

-- A report on a compliance framework instead of findings; '' for findings.
ALTER TABLE reports ADD COLUMN framework TEXT NOT NULL DEFAULT '';

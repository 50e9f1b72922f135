-- Requests that were to be blocked, until it was looked whether they were. One row an object.
CREATE TABLE admission_doubts (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    uid_key BIGINT NOT NULL,
    uid TEXT NOT NULL,
    operation SMALLINT NOT NULL,            -- of the last request: 1 CREATE, 2 UPDATE
    api_version TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    at BIGINT NOT NULL,                     -- of the last request, by our clock
    due_at BIGINT NOT NULL,
    PRIMARY KEY (target_id, uid_key)
);
CREATE INDEX admission_doubts_due ON admission_doubts (due_at);

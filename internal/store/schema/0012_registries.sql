-- Registries of images: where they are, how they are trusted, who we are there.
CREATE TABLE registries (
    id {id},
    name TEXT NOT NULL,
    address TEXT NOT NULL,                  -- host or host:port, as references begin with it
    mirror_of TEXT NOT NULL DEFAULT '',     -- host for which this one is asked first
    insecure BOOLEAN NOT NULL,              -- plain HTTP, or a certificate that nobody signed
    ca TEXT NOT NULL DEFAULT '',            -- PEM, trusted beside the system's
    username TEXT NOT NULL DEFAULT '',
    secret {blob} NOT NULL,                 -- sealed password or token; empty for none
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    checked_at BIGINT NOT NULL DEFAULT 0,
    checked TEXT NOT NULL DEFAULT ''        -- registries.Check as JSON
);
CREATE UNIQUE INDEX registries_name ON registries (name);
CREATE UNIQUE INDEX registries_address ON registries (address);

-- The processes of the server: each writes its row about once a minute.
CREATE TABLE replicas (
    name TEXT PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    state TEXT NOT NULL                     -- vitals.Replica as JSON
);

-- What became of advisory databases that were brought.
CREATE TABLE advisory_updates (
    id {id},
    at BIGINT NOT NULL,
    took BIGINT NOT NULL DEFAULT 0,         -- milliseconds
    how TEXT NOT NULL,                      -- import, pull, schedule
    actor TEXT NOT NULL,
    replica TEXT NOT NULL,                  -- in whose folder
    source TEXT NOT NULL DEFAULT '',        -- reference
    result TEXT NOT NULL,                   -- new, same, failed
    error TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL DEFAULT '',        -- of the artifact
    built_at TEXT NOT NULL DEFAULT ''
);
CREATE INDEX advisory_updates_replica ON advisory_updates (replica, how, id);

-- Answers to POST requests that came with an Idempotency-Key, kept for a day so that a repeated one is answered without being
-- done again.
CREATE TABLE idempotency (
    owner TEXT NOT NULL,                    -- who sent it
    key TEXT NOT NULL,
    route TEXT NOT NULL,                    -- method and path
    done BOOLEAN NOT NULL DEFAULT FALSE,
    hash TEXT NOT NULL DEFAULT '',          -- of the request's body, when done
    status INTEGER NOT NULL DEFAULT 0,      -- of the answer; 0: too long to keep
    answer {blob},                          -- header and body as JSON, encrypted: it may hold a token
    created_at BIGINT NOT NULL,
    alive_at BIGINT NOT NULL,               -- while it is being done, the last sign of life of the server that does it
    PRIMARY KEY (owner, key, route)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

-- What of an image decides admission, made of its inventory and the advisory database.
CREATE TABLE verdict_facts (
    digest TEXT PRIMARY KEY REFERENCES inventories (digest) ON DELETE CASCADE,
    stamp TEXT NOT NULL,                    -- of the database and the rules
    read_at BIGINT NOT NULL,                -- of the inventory
    matched_at BIGINT NOT NULL,
    body {blob} NOT NULL                    -- verdict.Facts, packed, zstd
);
CREATE INDEX verdict_facts_stamp ON verdict_facts (stamp);

-- Counts the changes of verdicts over the whole server.
CREATE TABLE verdict_state (
    id INTEGER PRIMARY KEY,
    serial BIGINT NOT NULL
);

-- Clusters that ask, and how far their verdicts are made anew when the policies change.
CREATE TABLE verdict_clusters (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    generation TEXT NOT NULL,               -- of the bundle that holds
    round BIGINT NOT NULL DEFAULT 1,        -- counts the bundles
    done BIGINT NOT NULL DEFAULT 0,         -- verdicts up to this id are of this round, and those that say so
    floor BIGINT NOT NULL DEFAULT 0         -- who knows less than this serial must ask for everything anew: rows were dropped
);

-- Images that clusters asked about, with the verdict of each.
CREATE TABLE verdicts (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    reference TEXT NOT NULL,                -- written out
    digest TEXT NOT NULL DEFAULT '',        -- that the reference stood for, of a manifest or an index
    manifest TEXT NOT NULL DEFAULT '',      -- of the inventory, "" while there is none
    state TEXT NOT NULL,                    -- policy.ImageState
    round BIGINT NOT NULL,                  -- of the cluster's bundles by which it was judged
    serial BIGINT NOT NULL,                 -- of its last change
    asked_at BIGINT NOT NULL,               -- day of the last question
    resolved_at BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL DEFAULT 0,       -- when it must be looked at again whatever happens; 0 is never
    tries INTEGER NOT NULL DEFAULT 0,       -- at reading it that failed one after the other
    spec TEXT NOT NULL DEFAULT '',          -- JSON: namespace and pull secrets of who asked last
    turned TEXT NOT NULL DEFAULT '',        -- JSON: the better verdict before, until somebody was told
    body TEXT NOT NULL                      -- policy.ImageVerdict as JSON
);
CREATE UNIQUE INDEX verdicts_reference ON verdicts (target_id, reference);
CREATE INDEX verdicts_serial ON verdicts (target_id, serial);
CREATE INDEX verdicts_asked ON verdicts (target_id, asked_at, id);
CREATE INDEX verdicts_manifest ON verdicts (manifest) WHERE manifest <> '';
CREATE INDEX verdicts_due ON verdicts (due_at) WHERE due_at > 0;
CREATE INDEX verdicts_turned ON verdicts (id) WHERE turned <> '';

-- Who signed which image, as far as it was asked.
CREATE TABLE verdict_signatures (
    digest TEXT NOT NULL,
    key_id TEXT NOT NULL,                   -- SHA-256 of the public key
    good BOOLEAN NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    checked_at BIGINT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,       -- that found none, one after the other
    PRIMARY KEY (digest, key_id)
);

-- What became of the last attempt to read an image is asked by its key.
CREATE INDEX task_items_key ON task_items (key, id) WHERE kind = 'image';

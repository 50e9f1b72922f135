-- Which emergencies a subject was looked at for: most have the same set, so that it stands once.
CREATE TABLE emergency_sets (
    id {id},
    hash TEXT NOT NULL,
    ids TEXT NOT NULL                          -- JSON, sorted
);
CREATE UNIQUE INDEX emergency_sets_hash ON emergency_sets (hash);

-- What was looked at for emergencies.
CREATE TABLE emergency_subjects (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    kind SMALLINT NOT NULL,                    -- urgent.Kind: 1 node, 2 image, 3 cluster
    name TEXT NOT NULL,                        -- of the node; digest of the image; '' for the cluster
    shown TEXT NOT NULL DEFAULT '',            -- for people: the image's reference
    set_id BIGINT NOT NULL,
    at BIGINT NOT NULL                         -- to some hours
);
CREATE UNIQUE INDEX emergency_subjects_name ON emergency_subjects (target_id, kind, name);
CREATE INDEX emergency_subjects_set ON emergency_subjects (target_id, kind, set_id);

-- What was seen. A subject that was looked at and has no row for an emergency does not have what it is about.
CREATE TABLE emergency_results (
    subject_id BIGINT NOT NULL REFERENCES emergency_subjects (id) ON DELETE CASCADE,
    emergency TEXT NOT NULL,
    target_id BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    verdict SMALLINT NOT NULL,                 -- 0 not present (with something to tell), 1 fixed, 2 backported, 3 version only, 4 unknown, 5 exposed
    since BIGINT NOT NULL,                     -- of this verdict
    hash TEXT NOT NULL,                        -- of verdict and body
    body TEXT NOT NULL,                        -- emergency.Result as JSON
    PRIMARY KEY (subject_id, emergency)
);
CREATE INDEX emergency_results_verdict ON emergency_results (emergency, verdict DESC, subject_id);

-- How many of each, moved by whoever changes a result, in the same transaction.
CREATE TABLE emergency_counts (
    target_id BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    emergency TEXT NOT NULL,
    verdict SMALLINT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (target_id, kind, emergency, verdict)
);

-- The last scan of a cluster for emergencies that came to its end.
CREATE TABLE emergency_scans (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    at BIGINT NOT NULL,
    task_id BIGINT NOT NULL DEFAULT 0
);

-- Which checks of emergencies users allow on a cluster; without a row the default of the program.
CREATE TABLE emergency_classes (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    classes TEXT NOT NULL                      -- words
);

-- Which workloads run an image.
CREATE INDEX assets_image_digest ON assets (target_id, digest) WHERE kind = 4 AND digest <> '';

-- What an attacker could do in each cluster, as its last full scan saw it: replaced by the next one.
CREATE TABLE attack_graphs (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    built_at BIGINT NOT NULL,
    worst INTEGER NOT NULL,                 -- score of its worst path, 0 when it has none
    paths INTEGER NOT NULL,
    body {blob} NOT NULL                    -- attack.Graph as JSON, zstd
);
CREATE INDEX attack_graphs_worst ON attack_graphs (worst DESC, target_id);

-- Nodes: those that clusters have, and those that have an agent. Most are both.
CREATE TABLE nodes (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    name TEXT NOT NULL,
    -- as the Node object of the last full scan has it
    listed BOOLEAN NOT NULL DEFAULT FALSE,
    object_machine TEXT NOT NULL DEFAULT '',   -- status.nodeInfo.machineID
    object_provider TEXT NOT NULL DEFAULT '',  -- spec.providerID
    object_os TEXT NOT NULL DEFAULT '',        -- linux, windows
    -- the agent, as it enrolled
    enrolled_at BIGINT NOT NULL DEFAULT 0,     -- 0: there is none
    machine_id TEXT NOT NULL DEFAULT '',
    provider_id TEXT NOT NULL DEFAULT '',
    -- another machine that came under the name and was refused, and the one that a user let take it
    claim_at BIGINT NOT NULL DEFAULT 0,
    claim_machine TEXT NOT NULL DEFAULT '',
    claim_from TEXT NOT NULL DEFAULT '',
    claim_why TEXT NOT NULL DEFAULT '',
    allowed_machine TEXT NOT NULL DEFAULT '',
    -- the agent, as it says of itself; written together now and then
    seen_at BIGINT NOT NULL DEFAULT 0,
    version TEXT NOT NULL DEFAULT '',
    agent_state TEXT NOT NULL DEFAULT '',      -- running, paused, degraded
    reason TEXT NOT NULL DEFAULT '',
    needs TEXT NOT NULL DEFAULT '',            -- inventory.SkipFact list as JSON
    classes TEXT NOT NULL DEFAULT '',          -- of checks that the node allows, as JSON
    spool INTEGER NOT NULL DEFAULT 0,
    memory BIGINT NOT NULL DEFAULT 0,
    cpu BIGINT NOT NULL DEFAULT 0,
    skew BIGINT NOT NULL DEFAULT 0,            -- milliseconds that its clock is ahead, where that is too much
    -- what it brought
    facts_digest TEXT NOT NULL DEFAULT '',
    facts_at BIGINT NOT NULL DEFAULT 0,        -- when they were last read, changed or not
    software_digest TEXT NOT NULL DEFAULT '',
    software_at BIGINT NOT NULL DEFAULT 0,
    summary TEXT NOT NULL DEFAULT '',          -- nodes.Summary as JSON
    -- what became of it
    dirty_at BIGINT NOT NULL DEFAULT 0,        -- something changed since it was judged
    judged TEXT NOT NULL DEFAULT '',           -- stamp of rules and advisories by which it was
    judged_at BIGINT NOT NULL DEFAULT 0,
    -- what people were told of it
    told TEXT NOT NULL DEFAULT '',             -- away or degraded; '' while it is well
    told_claim TEXT NOT NULL DEFAULT ''        -- '!' and claim_machine of the claim that was told
);
CREATE UNIQUE INDEX nodes_name ON nodes (target_id, name);
CREATE INDEX nodes_by_name ON nodes (name, id);
CREATE INDEX nodes_seen ON nodes (target_id, seen_at) WHERE enrolled_at > 0;
CREATE INDEX nodes_dirty ON nodes (dirty_at) WHERE dirty_at > 0;
CREATE INDEX nodes_judged ON nodes (judged) WHERE facts_digest <> '';

-- Findings that a node's agent leads to and that are not on the node: on what runs in its containers, and on its images.
CREATE TABLE node_prints (
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    print {blob} NOT NULL,                     -- as findings.fingerprint
    PRIMARY KEY (node_id, print)
);
CREATE INDEX node_prints_print ON node_prints (print);

-- What agents brought, packed. One of each kind is kept: the newest.
CREATE TABLE node_bodies (
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,                        -- facts, software, malware, emergency
    digest TEXT NOT NULL,
    at BIGINT NOT NULL,
    body {blob} NOT NULL,                      -- JSON, zstd
    PRIMARY KEY (node_id, kind)
);

-- Packages of images that no registry has, as a node's runtime holds them. They count in their cluster only.
CREATE TABLE node_images (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    digest TEXT NOT NULL,                      -- of the manifest or the configuration
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    body {blob} NOT NULL,                      -- inventory.Software as JSON, zstd
    PRIMARY KEY (target_id, digest)
);
CREATE INDEX node_images_node ON node_images (node_id);

-- What agents were asked for.
CREATE TABLE node_work (
    id {id},
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,                        -- protocol.WorkKind
    names TEXT NOT NULL DEFAULT '',            -- JSON
    status TEXT NOT NULL,                      -- open, done, failed
    error TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    until_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX node_work_open ON node_work (node_id, id) WHERE status = 'open';
CREATE INDEX node_work_ended ON node_work (until_at);

-- Reports that were taken in, so that one that comes twice counts once.
CREATE TABLE node_reports (
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    report TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (node_id, report)
);
CREATE INDEX node_reports_at ON node_reports (at);

-- Tokens with which the agents of a cluster enrol. Only their hashes are kept.
CREATE TABLE agent_tokens (
    id {id},
    hash TEXT NOT NULL,                        -- SHA-256, hexadecimal
    target_id BIGINT NOT NULL REFERENCES targets (id),
    note TEXT NOT NULL DEFAULT '',
    created_by TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    uses INTEGER NOT NULL,                     -- how often it is good
    used INTEGER NOT NULL DEFAULT 0,
    revoked_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX agent_tokens_hash ON agent_tokens (hash);
CREATE INDEX agent_tokens_target ON agent_tokens (target_id, id);

-- Agents have certificates of the server's authority too.
ALTER TABLE certificates ADD COLUMN node_id BIGINT NOT NULL DEFAULT 0;
CREATE INDEX certificates_node ON certificates (node_id) WHERE node_id <> 0;

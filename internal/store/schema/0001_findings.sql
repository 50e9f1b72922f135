-- What is scanned: clusters, IaC projects, nodes outside of clusters. Other rooms' rows hang on the id.
CREATE TABLE targets (
    id {id},
    kind TEXT NOT NULL,                     -- cluster, project, node
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT NOT NULL DEFAULT 0,   -- set when removed; findings stay, lists leave it out
    looked_at BIGINT NOT NULL DEFAULT 0,    -- end of the last full look; what is open was seen then
    run_id BIGINT NOT NULL DEFAULT 0        -- of that look
);
CREATE UNIQUE INDEX targets_name ON targets (kind, name) WHERE removed_at = 0;

-- One look at a target: a full scan, a part of it, one object.
CREATE TABLE runs (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    task_id BIGINT NOT NULL DEFAULT 0,
    kind TEXT NOT NULL,                     -- full, part, watch, verify, upload
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL DEFAULT 0,  -- 0 while it runs, and for ever when it broke off
    rules TEXT NOT NULL DEFAULT '',         -- digest of the rule library
    database TEXT NOT NULL DEFAULT '',      -- digest of the advisory database
    added INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    reopened INTEGER NOT NULL DEFAULT 0,
    fixed INTEGER NOT NULL DEFAULT 0,
    gone INTEGER NOT NULL DEFAULT 0,
    unseen INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    stats TEXT NOT NULL DEFAULT ''          -- finding.Stats as JSON
);
CREATE INDEX runs_target ON runs (target_id, id);

-- What findings are about: a cluster, a namespace, a workload, an image in use, a node, another object, a file.
CREATE TABLE assets (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    kind SMALLINT NOT NULL,                 -- ledger.AssetKind
    group_kind TEXT NOT NULL DEFAULT '',    -- "Deployment.apps"
    namespace TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL,                     -- for images the reference
    digest TEXT NOT NULL DEFAULT '',        -- of images
    first_seen BIGINT NOT NULL,
    gone_at BIGINT NOT NULL DEFAULT 0,
    listed BOOLEAN NOT NULL DEFAULT FALSE,  -- a scan has looked at it; others are only named by findings, such as groups of users
    critical INTEGER NOT NULL DEFAULT 0,    -- active findings
    high INTEGER NOT NULL DEFAULT 0,
    medium INTEGER NOT NULL DEFAULT 0,
    low INTEGER NOT NULL DEFAULT 0,
    info INTEGER NOT NULL DEFAULT 0,
    score BIGINT NOT NULL DEFAULT 0         -- orders by critical, high, medium, low: see ledger.Score
);
CREATE UNIQUE INDEX assets_key ON assets (target_id, kind, group_kind, namespace, name, digest);
CREATE INDEX assets_score ON assets (kind, score DESC, id);
CREATE INDEX assets_name ON assets (kind, name, id);
CREATE INDEX assets_namespace ON assets (kind, namespace, id);
CREATE INDEX assets_target ON assets (kind, target_id, score DESC, id);

-- Which workloads run which images now. Findings on an image are for the namespaces of its workloads too, and count for them.
CREATE TABLE asset_uses (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    image_id BIGINT NOT NULL REFERENCES assets (id),
    workload_id BIGINT NOT NULL REFERENCES assets (id),
    namespace TEXT NOT NULL,
    PRIMARY KEY (image_id, workload_id)
);
CREATE INDEX asset_uses_workload ON asset_uses (workload_id);
CREATE INDEX asset_uses_namespace ON asset_uses (target_id, namespace);

-- What can be wrong: one row for each rule or vulnerability that was ever found.
CREATE TABLE risks (
    id {id},
    kind SMALLINT NOT NULL,                 -- ledger.Kind
    rule TEXT NOT NULL,                     -- "workload/privileged-container", "CVE-2021-44228"
    rule_id TEXT NOT NULL DEFAULT '',
    severity SMALLINT NOT NULL,             -- worst of its findings so far
    title TEXT NOT NULL,
    title_zh TEXT NOT NULL DEFAULT '',
    risk TEXT NOT NULL DEFAULT '',          -- control-plane, network, ...
    kev BOOLEAN NOT NULL DEFAULT FALSE,
    epss REAL NOT NULL DEFAULT 0,
    cvss REAL NOT NULL DEFAULT 0,
    first_seen BIGINT NOT NULL
);
CREATE UNIQUE INDEX risks_key ON risks (kind, rule);

-- Active findings of a risk in a target; target 0 is the sum of all.
CREATE TABLE risk_counts (
    risk_id BIGINT NOT NULL REFERENCES risks (id),
    target_id BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    severity SMALLINT NOT NULL,
    rule TEXT NOT NULL,
    active INTEGER NOT NULL DEFAULT 0,
    targets INTEGER NOT NULL DEFAULT 0,     -- with at least one; of the row of target 0
    PRIMARY KEY (target_id, risk_id)
);
CREATE INDEX risk_counts_severity ON risk_counts (target_id, severity DESC, active DESC, risk_id);
CREATE INDEX risk_counts_active ON risk_counts (target_id, active DESC, risk_id);
CREATE INDEX risk_counts_rule ON risk_counts (target_id, rule, risk_id);
CREATE INDEX risk_counts_kind ON risk_counts (target_id, kind, severity DESC, active DESC, risk_id);
CREATE INDEX risk_counts_risk ON risk_counts (risk_id, target_id);

-- Texts that many findings share: title, remediation, references, compliance. By the hash of the content.
CREATE TABLE advice (
    id {id},
    hash BIGINT NOT NULL,
    body TEXT NOT NULL                      -- ledger.Advice as JSON
);
CREATE UNIQUE INDEX advice_hash ON advice (hash);

-- The current row of every finding that ever was.
CREATE TABLE findings (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    fingerprint {blob} NOT NULL,            -- 16 bytes
    risk_id BIGINT NOT NULL REFERENCES risks (id),
    asset_id BIGINT NOT NULL REFERENCES assets (id),
    kind SMALLINT NOT NULL,                 -- ledger.Kind
    severity SMALLINT NOT NULL,             -- 4 critical to 0 info
    state SMALLINT NOT NULL,                -- ledger.State: what scans say
    handling SMALLINT NOT NULL DEFAULT 0,   -- ledger.Handling: what people and exceptions say
    status SMALLINT NOT NULL,               -- ledger.Status: both in one word
    cause SMALLINT NOT NULL DEFAULT 0,      -- ledger.Cause of the last change
    priority SMALLINT NOT NULL DEFAULT 0,   -- 0 to 100
    kev BOOLEAN NOT NULL DEFAULT FALSE,
    fixable BOOLEAN NOT NULL DEFAULT FALSE, -- a fixed version is known
    rule TEXT NOT NULL,
    package TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    namespace TEXT NOT NULL DEFAULT '',
    resource TEXT NOT NULL DEFAULT '',      -- name of the workload, object, node or file
    image TEXT NOT NULL DEFAULT '',         -- reference
    digest TEXT NOT NULL DEFAULT '',
    hash BIGINT NOT NULL,                   -- of the content, to tell a change
    rule_hash BIGINT NOT NULL DEFAULT 0,    -- of the rule that found it, to tell why
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL DEFAULT 0,    -- 0: when its target was last looked at
    changed_at BIGINT NOT NULL,             -- of status
    exception_id BIGINT NOT NULL DEFAULT 0, -- that accepts it
    assignee_id BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX findings_fingerprint ON findings (target_id, fingerprint);
CREATE INDEX findings_priority ON findings (priority, id);
CREATE INDEX findings_severity ON findings (severity, id);
CREATE INDEX findings_kind ON findings (kind, severity, id);
CREATE INDEX findings_status ON findings (status, changed_at, id);
CREATE INDEX findings_changed ON findings (changed_at, id);
CREATE INDEX findings_rule ON findings (rule, id);
CREATE INDEX findings_package ON findings (package, id);
CREATE INDEX findings_namespace ON findings (namespace, id);
CREATE INDEX findings_resource ON findings (resource, id);
CREATE INDEX findings_image ON findings (image, id);
CREATE INDEX findings_target ON findings (target_id, namespace, severity, id);
CREATE INDEX findings_asset ON findings (asset_id, severity, id);
CREATE INDEX findings_exception ON findings (exception_id) WHERE exception_id <> 0;

-- The rest of a finding, read when it is opened.
CREATE TABLE details (
    finding_id BIGINT PRIMARY KEY REFERENCES findings (id),
    advice_id BIGINT NOT NULL REFERENCES advice (id),
    body {blob} NOT NULL                    -- ledger.Detail as JSON, in zstd where that is shorter
);

-- What became of findings: on change only. A finding's first sight is its first_seen and needs no row.
CREATE TABLE history (
    id {id},
    finding_id BIGINT NOT NULL REFERENCES findings (id),
    target_id BIGINT NOT NULL,
    run_id BIGINT NOT NULL DEFAULT 0,       -- of the scan that saw it, else 0
    user_id BIGINT NOT NULL DEFAULT 0,      -- of the person who did it, else 0
    at BIGINT NOT NULL,
    action TEXT NOT NULL,                   -- ledger.Action
    before SMALLINT NOT NULL,               -- ledger.Status
    after SMALLINT NOT NULL,
    cause SMALLINT NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT ''
);
CREATE INDEX history_finding ON history (finding_id, id);
CREATE INDEX history_run ON history (run_id, id);

-- How many findings there are. Kept by those who change findings, in the same transaction: target 0 is all targets, namespace
-- "*" is all namespaces ("" are findings without one).
CREATE TABLE counts (
    target_id BIGINT NOT NULL,
    namespace TEXT NOT NULL,
    kind SMALLINT NOT NULL,
    severity SMALLINT NOT NULL,
    status SMALLINT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (target_id, namespace, kind, severity, status)
);

-- The counts at the end of each day (UTC), and what was opened and closed in it. Target 0 is all.
CREATE TABLE days (
    day INTEGER NOT NULL,                   -- days since 1970
    target_id BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    severity SMALLINT NOT NULL,
    active INTEGER NOT NULL,
    opened INTEGER NOT NULL DEFAULT 0,
    closed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (target_id, day, kind, severity)
);

-- What was not scanned at the last look, and why.
CREATE TABLE gaps (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    part TEXT NOT NULL,                     -- of the target that the run looked at: see triage.Run
    what TEXT NOT NULL,
    subject TEXT NOT NULL,                  -- finding.NotScanned.Target
    reason TEXT NOT NULL,
    code TEXT NOT NULL,
    since BIGINT NOT NULL                   -- of the first run that could not
);
CREATE INDEX gaps_target ON gaps (target_id, part);

-- Verdicts of compliance frameworks at the last look.
CREATE TABLE clauses (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    framework TEXT NOT NULL,
    clause TEXT NOT NULL,
    status TEXT NOT NULL,                   -- pass, fail, manual, not-applicable
    findings INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL DEFAULT '',          -- title, reason, fingerprints as JSON
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (target_id, framework, clause)
);

-- Messages about changes, written in the transaction of the change and sent afterwards.
CREATE TABLE outbox (
    id {id},
    topic TEXT NOT NULL,                    -- findings.changed, cluster.state, exception.expired, task.finished, ...
    target_id BIGINT NOT NULL DEFAULT 0,
    at BIGINT NOT NULL,
    body TEXT NOT NULL                      -- JSON, by topic
);

-- Who changed what, from where, before and after.
CREATE TABLE audit (
    id {id},
    at BIGINT NOT NULL,
    user_id BIGINT NOT NULL DEFAULT 0,
    actor TEXT NOT NULL,                    -- name at the time; "system" for the server itself
    remote TEXT NOT NULL DEFAULT '',        -- address of the client
    request TEXT NOT NULL DEFAULT '',       -- request id
    action TEXT NOT NULL,                   -- "cluster.add", "finding.ignore", ...
    object TEXT NOT NULL,                   -- "cluster 3 (shop)"
    target_id BIGINT NOT NULL DEFAULT 0,
    before TEXT NOT NULL DEFAULT '',        -- JSON
    after TEXT NOT NULL DEFAULT ''
);
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_user ON audit (user_id, id);

-- Values that the server itself keeps: keys of signatures, the set-up state.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Clusters: how each is reached and how that goes. The row's target has the name.
CREATE TABLE clusters (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    kind TEXT NOT NULL,                       -- kubeconfig, in-cluster, connector, snapshot
    server TEXT NOT NULL DEFAULT '',          -- address of the API server; path of a snapshot
    credentials {blob},                       -- sealed: fleet.Credentials as JSON
    generation BIGINT NOT NULL DEFAULT 1,     -- counts changes of credentials
    state TEXT NOT NULL DEFAULT 'never',      -- never, connected, unreachable, refused, waiting
    reason TEXT NOT NULL DEFAULT '',
    state_at BIGINT NOT NULL DEFAULT 0,       -- when it came into this state
    contact_at BIGINT NOT NULL DEFAULT 0,     -- when it last answered
    version TEXT NOT NULL DEFAULT '',
    distribution TEXT NOT NULL DEFAULT '',
    managed BOOLEAN NOT NULL DEFAULT FALSE,
    nodes INTEGER NOT NULL DEFAULT 0,
    protected_nodes INTEGER NOT NULL DEFAULT 0,
    checked_at BIGINT NOT NULL DEFAULT 0,     -- of permissions
    permissions TEXT NOT NULL DEFAULT ''      -- fleet.Permission list as JSON
);

-- What the server asked of each cluster, by hour.
CREATE TABLE cluster_use (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    hour INTEGER NOT NULL,                    -- hours since 1970
    requests BIGINT NOT NULL DEFAULT 0,
    received BIGINT NOT NULL DEFAULT 0,       -- bytes, on the wire
    sent BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (target_id, hour)
);
CREATE INDEX cluster_use_hour ON cluster_use (hour);

-- The server's certificate authority for connectors and replicas.
CREATE TABLE authorities (
    id {id},
    certificate {blob} NOT NULL,              -- DER
    private_key {blob} NOT NULL,              -- sealed: PKCS #8
    created_at BIGINT NOT NULL,
    active BOOLEAN NOT NULL DEFAULT TRUE      -- signs; the others are only trusted
);
CREATE UNIQUE INDEX authorities_active ON authorities (active) WHERE active;

-- One-time tokens with which connectors enrol. Only their hashes are kept.
CREATE TABLE enrolments (
    hash TEXT PRIMARY KEY,                    -- SHA-256, hexadecimal
    target_id BIGINT NOT NULL REFERENCES targets (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL DEFAULT 0,
    used_from TEXT NOT NULL DEFAULT ''        -- address
);
CREATE INDEX enrolments_target ON enrolments (target_id);

-- Certificates of connectors, until they expire.
CREATE TABLE certificates (
    serial TEXT PRIMARY KEY,                  -- hexadecimal
    target_id BIGINT NOT NULL REFERENCES targets (id),
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT ''              -- of the revocation
);
CREATE INDEX certificates_target ON certificates (target_id);
CREATE INDEX certificates_revoked ON certificates (revoked_at) WHERE revoked_at <> 0;

-- Which replica of the server holds which tunnel. A row that was not seen for a while is of a replica that died.
CREATE TABLE tunnels (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    replica TEXT NOT NULL,
    address TEXT NOT NULL DEFAULT '',         -- host:port at which other replicas reach it
    remote TEXT NOT NULL DEFAULT '',          -- where the connector comes from
    version TEXT NOT NULL DEFAULT '',         -- of the connector
    since BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    PRIMARY KEY (target_id, replica)
);
CREATE INDEX tunnels_replica ON tunnels (replica);

-- Protection of clusters: what was asked for, how far it is, and what was made. A cluster without a row was never protected.
CREATE TABLE protections (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    state TEXT NOT NULL,                      -- see protect.State
    reason TEXT NOT NULL DEFAULT '',
    state_at BIGINT NOT NULL DEFAULT 0,       -- when it came into this state
    settings TEXT NOT NULL DEFAULT '{}',      -- protect.Settings as JSON
    steps TEXT NOT NULL DEFAULT '[]',         -- of the installation or removal: protect.Step list as JSON
    gatekeeper TEXT NOT NULL DEFAULT '',      -- which Gatekeeper decides: protect.Gatekeeper as JSON
    health TEXT NOT NULL DEFAULT '',          -- what was seen last: protect.Seen as JSON
    namespaces TEXT NOT NULL DEFAULT '',      -- labels of namespaces as JSON, when a policy asks for them
    keep_plugins BOOLEAN NOT NULL DEFAULT FALSE, -- of a removal: Gatekeeper stays
    foreign_too BOOLEAN NOT NULL DEFAULT FALSE,  -- of a removal: templates and constraints of others go too
    authority {blob},                         -- PEM: the cluster's own certificate authorities, newest first
    authority_key {blob},                     -- sealed: PKCS #8 of the newest
    generation TEXT NOT NULL DEFAULT '',      -- of the bundle that is in force
    recompile_at BIGINT NOT NULL DEFAULT 0,   -- when the policies mean something else by themselves; 0 is never
    enabled_at BIGINT NOT NULL DEFAULT 0,
    enabled_by TEXT NOT NULL DEFAULT '',
    seen_at BIGINT NOT NULL DEFAULT 0,        -- when the cluster last was as it should be
    unreachable_at BIGINT NOT NULL DEFAULT 0, -- since when its API server does not answer
    revision BIGINT NOT NULL DEFAULT 1,       -- counts what people asked for
    next_at BIGINT NOT NULL DEFAULT 0,        -- when somebody looks again; 0 is never
    holder TEXT NOT NULL DEFAULT '',          -- which replica works on it
    lease_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX protections_next ON protections (next_at) WHERE next_at <> 0;

-- Objects that the server made in clusters, so that what is not wanted any more is taken away.
CREATE TABLE protection_objects (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    ref TEXT NOT NULL,                        -- apiVersion|Kind|namespace|name
    part TEXT NOT NULL,                       -- gatekeeper, provider, policy
    hash TEXT NOT NULL,                       -- of what was applied
    generation BIGINT NOT NULL DEFAULT 0,     -- that the API server gave it
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (target_id, ref)
);

-- What somebody changed behind the server's back.
CREATE TABLE protection_drift (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    at BIGINT NOT NULL,
    object TEXT NOT NULL,
    change TEXT NOT NULL,                     -- what was different
    actor TEXT NOT NULL DEFAULT '',           -- field manager, as far as the object tells
    repaired BOOLEAN NOT NULL
);
CREATE INDEX protection_drift_target ON protection_drift (target_id, id);

-- The last word of each replica of the providers.
CREATE TABLE protection_replicas (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    replica TEXT NOT NULL,                    -- name of the pod
    at BIGINT NOT NULL,
    beat TEXT NOT NULL,                       -- protocol.Beat as JSON
    PRIMARY KEY (target_id, replica)
);

-- Providers have certificates of the server's authority too.
ALTER TABLE certificates ADD COLUMN kind TEXT NOT NULL DEFAULT 'connector';

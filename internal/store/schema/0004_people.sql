-- Who may sign in. A removed user stays as a row, for the history of what it did.
CREATE TABLE users (
    id {id},
    name TEXT NOT NULL,                     -- what they sign in with: lower case
    display_name TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    language TEXT NOT NULL DEFAULT '',      -- en, zh; '' as the browser asks
    password TEXT NOT NULL DEFAULT '',      -- argon2id with its parameters; '' for users that have none
    provider_id BIGINT NOT NULL DEFAULT 0,  -- the OIDC provider that vouches for them, else 0
    subject TEXT NOT NULL DEFAULT '',       -- their id there
    disabled BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL,
    signed_in_at BIGINT NOT NULL DEFAULT 0,
    removed_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX users_name ON users (name) WHERE removed_at = 0;
CREATE UNIQUE INDEX users_subject ON users (provider_id, subject) WHERE subject <> '' AND removed_at = 0;

-- What users may do: see identity.Grant.
CREATE TABLE grants (
    user_id BIGINT NOT NULL REFERENCES users (id),
    provider_id BIGINT NOT NULL DEFAULT 0,  -- whose mapping gave it at the last sign-in; 0 for what an administrator gave
    role TEXT NOT NULL,
    target_id BIGINT NOT NULL DEFAULT 0,
    namespace TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (user_id, provider_id, role, target_id, namespace)
);

-- Who is signed in. Rows without a user are sign-ins through a provider that are under way.
CREATE TABLE sessions (
    id {id},
    hash TEXT NOT NULL,                     -- SHA-256 of the cookie's value
    user_id BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,                -- to about half a minute
    expires_at BIGINT NOT NULL,             -- when it is not used until then
    ends_at BIGINT NOT NULL,                -- however much it is used
    remote TEXT NOT NULL DEFAULT '',
    agent TEXT NOT NULL DEFAULT '',
    data {blob} NOT NULL
);
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- API tokens. A revoked one is deleted.
CREATE TABLE tokens (
    id {id},
    user_id BIGINT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    hash TEXT NOT NULL,                     -- SHA-256 of the secret
    actions TEXT NOT NULL DEFAULT '',       -- JSON list; '' all that the user may
    places TEXT NOT NULL DEFAULT '',        -- JSON list of people.Place; '' everywhere the user may
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL DEFAULT 0       -- to about half a minute
);
CREATE INDEX tokens_user ON tokens (user_id, id);

-- One-time links: the set-up of the first administrator, new passwords.
CREATE TABLE links (
    id {id},
    purpose TEXT NOT NULL,                  -- setup, password
    user_id BIGINT NOT NULL DEFAULT 0,
    hash TEXT NOT NULL,                     -- SHA-256 of the token in it
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL DEFAULT 0    -- 0: until there is an administrator
);
CREATE UNIQUE INDEX links_hash ON links (hash);

-- OIDC providers.
CREATE TABLE providers (
    id {id},
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    secret {blob},                          -- sealed; null for a public client
    scopes TEXT NOT NULL DEFAULT '',        -- JSON list beside openid
    groups_claim TEXT NOT NULL DEFAULT '',
    mappings TEXT NOT NULL DEFAULT '',      -- JSON list of people.Mapping
    disabled BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX providers_name ON providers (name);

-- Failed sign-ins, by name, by address and by both together.
CREATE TABLE attempts (
    key TEXT PRIMARY KEY,                   -- hash of what is counted
    failures INTEGER NOT NULL,
    since BIGINT NOT NULL,                  -- of the first of them
    blocked_until BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX audit_actor ON audit (actor, at, id);
CREATE INDEX audit_action ON audit (action, at, id);
CREATE INDEX audit_target ON audit (target_id, at, id);

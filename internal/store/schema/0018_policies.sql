-- What may enter clusters. body is JSON; clusters is ",3,7," of the scope, "" for all.
CREATE TABLE policies (
    id {id},
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    clusters TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    deleted_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX policies_name ON policies (name) WHERE deleted_at = 0;

-- Every state that a policy had, the present one too.
CREATE TABLE policy_versions (
    policy_id BIGINT NOT NULL REFERENCES policies (id),
    version INTEGER NOT NULL,
    at BIGINT NOT NULL,
    by_whom TEXT NOT NULL,
    note TEXT NOT NULL,
    deleted BOOLEAN NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (policy_id, version)
);

-- Users' own ConstraintTemplates, tested before they were kept.
CREATE TABLE policy_templates (
    name TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    engines TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

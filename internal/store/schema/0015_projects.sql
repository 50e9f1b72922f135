-- What the last upload of an IaC project held: the files that were judged. Texts are kept with credentials masked.
CREATE TABLE projects (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    task_id BIGINT NOT NULL,                -- of the upload
    uploaded_at BIGINT NOT NULL,
    files INTEGER NOT NULL,
    bytes BIGINT NOT NULL,
    unlisted INTEGER NOT NULL DEFAULT 0     -- files that were judged beyond those that are listed
);

CREATE TABLE project_files (
    target_id BIGINT NOT NULL REFERENCES targets (id),
    path TEXT NOT NULL,                     -- as findings name it
    type TEXT NOT NULL,                     -- dockerfile, k8s_yaml, helm, kustomize, other
    size BIGINT NOT NULL,
    note TEXT NOT NULL DEFAULT '',          -- why its text is not kept: large, full, binary, packed
    body {blob},                            -- text, zstd
    PRIMARY KEY (target_id, path)
);

CREATE INDEX runs_task ON runs (task_id) WHERE task_id <> 0;
CREATE INDEX task_items_uploads ON task_items (target_id, id) WHERE kind = 'upload';

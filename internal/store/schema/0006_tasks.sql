-- Something to scan: by hand, by a schedule, to verify findings, an upload, or because the advisory database changed.
CREATE TABLE tasks (
    id {id},
    name TEXT NOT NULL,
    origin TEXT NOT NULL,                   -- manual, schedule, verify, upload, database, watch
    schedule_id BIGINT NOT NULL DEFAULT 0,
    user_id BIGINT NOT NULL DEFAULT 0,
    actor TEXT NOT NULL DEFAULT '',         -- who started it, by name
    scan TEXT NOT NULL,                     -- scan items asked for, as a JSON array of words
    budget TEXT NOT NULL DEFAULT '{}',      -- task.Budget as JSON
    status TEXT NOT NULL,                   -- ready, running, finished, partial, failed, canceled
    cancel BOOLEAN NOT NULL DEFAULT FALSE,  -- asked for; workers look at it
    next_pull BIGINT NOT NULL DEFAULT 0,    -- when the budget lets the next image be pulled
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL DEFAULT 0,
    finished_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX tasks_status ON tasks (status, id);

-- Which targets a task is about, for lists of what somebody may see.
CREATE TABLE task_targets (
    task_id BIGINT NOT NULL REFERENCES tasks (id),
    target_id BIGINT NOT NULL REFERENCES targets (id),
    PRIMARY KEY (task_id, target_id)
);
CREATE INDEX task_targets_target ON task_targets (target_id, task_id);

-- Work: a cluster or an upload to scan, an image to read. This table is the truth of what is to be done; the job queue only
-- carries ids.
CREATE TABLE task_items (
    id {id},
    task_id BIGINT NOT NULL REFERENCES tasks (id),
    target_id BIGINT NOT NULL REFERENCES targets (id),
    kind TEXT NOT NULL,                     -- cluster, node, upload, image
    name TEXT NOT NULL DEFAULT '',          -- for people: of the cluster, the image's reference
    key TEXT NOT NULL DEFAULT '',           -- of images: digest, or reference where no digest is known
    spec TEXT NOT NULL DEFAULT '',          -- JSON, by kind: refs of a verify, scan.Use of an image, name of an upload
    status TEXT NOT NULL,                   -- ready, running, done, partial, failed, canceled
    attempt INTEGER NOT NULL DEFAULT 0,     -- claims so far; fences off a worker that lost the item
    worker TEXT NOT NULL DEFAULT '',        -- process that does it
    beat BIGINT NOT NULL DEFAULT 0,         -- counted up by the worker: an item whose beat stands still is taken away from it
    failures INTEGER NOT NULL DEFAULT 0,    -- attempts that broke off: lost workers, a database that went away
    queued_at BIGINT NOT NULL DEFAULT 0,    -- when it was given to the job queue, 0 when it was not
    not_before BIGINT NOT NULL DEFAULT 0,   -- a place in the pull rate, or the pause before the next attempt
    progress TEXT NOT NULL DEFAULT '',      -- task.Progress as JSON
    result TEXT NOT NULL DEFAULT '',        -- of images: digest of the inventory
    code TEXT NOT NULL DEFAULT '',          -- finding.Code of the failure
    error TEXT NOT NULL DEFAULT '',         -- why it failed
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL DEFAULT 0,
    finished_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX task_items_task ON task_items (task_id, kind, status, id);
CREATE INDEX task_items_open ON task_items (status, kind, id) WHERE status IN ('ready', 'running');
CREATE INDEX task_items_unqueued ON task_items (task_id, kind, id) WHERE status = 'ready' AND queued_at = 0;
-- An image is read once however many want it, and a target is scanned by one at a time.
CREATE UNIQUE INDEX task_items_image ON task_items (key) WHERE kind = 'image' AND status IN ('ready', 'running');
CREATE UNIQUE INDEX task_items_target ON task_items (target_id) WHERE kind <> 'image' AND status = 'running';

-- Which scans wait for which images.
CREATE TABLE task_item_uses (
    image_item BIGINT NOT NULL REFERENCES task_items (id),
    user_item BIGINT NOT NULL REFERENCES task_items (id),
    PRIMARY KEY (image_item, user_item)
);
CREATE INDEX task_item_uses_user ON task_item_uses (user_item, image_item);

-- What images hold, read once for each digest.
CREATE TABLE inventories (
    digest TEXT PRIMARY KEY,                -- of the manifest
    scanner TEXT NOT NULL,                  -- readers and data that read it: others read again
    reference TEXT NOT NULL,                -- under which it was read first
    packages INTEGER NOT NULL,
    read_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,                -- day of the last scan that asked for it
    body {blob} NOT NULL                    -- inventory.Software as JSON, zstd
);
CREATE INDEX inventories_used ON inventories (used_at);

-- Other digests of the same: of the multi-platform index that led to it.
CREATE TABLE inventory_names (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL REFERENCES inventories (digest) ON DELETE CASCADE
);
CREATE INDEX inventory_names_digest ON inventory_names (digest);

CREATE TABLE schedules (
    id {id},
    name TEXT NOT NULL,
    cron TEXT NOT NULL,                     -- five fields
    zone TEXT NOT NULL,                     -- "Asia/Shanghai"
    every_cluster BOOLEAN NOT NULL,         -- all that there are when it runs; else schedule_targets
    scan TEXT NOT NULL,
    budget TEXT NOT NULL DEFAULT '{}',
    enabled BOOLEAN NOT NULL,
    next_at BIGINT NOT NULL DEFAULT 0,
    last_at BIGINT NOT NULL DEFAULT 0,      -- when it ran, or was skipped, the last time
    last_task BIGINT NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '',          -- what became of the last run, when it did not start
    user_id BIGINT NOT NULL DEFAULT 0,
    actor TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX schedules_name ON schedules (name);

CREATE TABLE schedule_targets (
    schedule_id BIGINT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    target_id BIGINT NOT NULL REFERENCES targets (id),
    PRIMARY KEY (schedule_id, target_id)
);

-- The files of an upload, cleaned, as pieces of a tar.zst, until they are scanned.
CREATE TABLE upload_parts (
    item_id BIGINT NOT NULL REFERENCES task_items (id),
    n INTEGER NOT NULL,
    body {blob} NOT NULL,
    PRIMARY KEY (item_id, n)
);

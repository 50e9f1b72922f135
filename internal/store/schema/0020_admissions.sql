-- What is written once and pointed to: objects, who sent requests, what requests were about. Each once a cluster.
CREATE TABLE admission_parts (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    hash {blob} NOT NULL,                   -- of the body as it was before it was packed
    used_at BIGINT NOT NULL,                -- of the last use, give or take some minutes
    size INTEGER NOT NULL,                  -- bytes of body
    body {blob} NOT NULL                    -- JSON, in zstd where that is shorter
);
CREATE UNIQUE INDEX admission_parts_hash ON admission_parts (target_id, hash);
CREATE INDEX admission_parts_used ON admission_parts (target_id, used_at);

-- The log of admissions: one row a request. Tests and dry runs are not in it.
CREATE TABLE admissions (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    at BIGINT NOT NULL,
    uid_key BIGINT NOT NULL,                -- of the object's UID, 0 for none
    generation BIGINT NOT NULL,
    operation SMALLINT NOT NULL,            -- 1 CREATE, 2 UPDATE, 3 others
    outcome SMALLINT NOT NULL,              -- admission.Outcome
    what_id BIGINT NOT NULL,                -- parts
    who_id BIGINT NOT NULL,
    object_id BIGINT NOT NULL,              -- 0: too large, or there was no room
    body {blob} NOT NULL                    -- the rest: name, UID, what was violated
);
CREATE INDEX admissions_at ON admissions (target_id, at, id);
CREATE INDEX admissions_uid ON admissions (target_id, uid_key) WHERE uid_key <> 0;

-- Batches that were taken, so that none is taken twice.
CREATE TABLE admission_batches (
    target_id BIGINT NOT NULL,
    batch TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (target_id, batch)
);
CREATE INDEX admission_batches_at ON admission_batches (at);

-- How much of the log there is, and what the provider was last heard of.
CREATE TABLE admission_logs (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    entries BIGINT NOT NULL DEFAULT 0,
    entry_bytes BIGINT NOT NULL DEFAULT 0,
    part_bytes BIGINT NOT NULL DEFAULT 0,
    trimmed_at BIGINT NOT NULL DEFAULT 0,   -- what is older was deleted
    batch_at BIGINT NOT NULL DEFAULT 0,
    heard_at BIGINT NOT NULL DEFAULT 0,     -- last beat
    sweep_at BIGINT NOT NULL DEFAULT 0,     -- when what lives is next held against the log
    existing_at BIGINT NOT NULL DEFAULT 0,  -- when what lives was last judged, and by which policies
    existing_bundle TEXT NOT NULL DEFAULT '',
    told_at BIGINT NOT NULL DEFAULT 0,      -- of the last message about blocked requests, and of the last summary
    digest_at BIGINT NOT NULL DEFAULT 0,
    epoch_at BIGINT NOT NULL DEFAULT 0,     -- when somebody asked for the protection, and when the recorder was there
    since_at BIGINT NOT NULL DEFAULT 0
);

-- When no provider of a cluster was heard of.
CREATE TABLE admission_gaps (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    from_at BIGINT NOT NULL,
    until_at BIGINT NOT NULL
);
CREATE INDEX admission_gaps_target ON admission_gaps (target_id, until_at);

-- Events: what happened with the same policy, rule, owner, image and action.
CREATE TABLE admission_events (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    event_key {blob} NOT NULL,
    kind SMALLINT NOT NULL,                 -- admission.Kind
    action SMALLINT NOT NULL,               -- rank of policy.Action
    state SMALLINT NOT NULL,                -- admission.State
    severity SMALLINT NOT NULL,             -- ledger.Severity
    policy_id BIGINT NOT NULL,
    policy_version INTEGER NOT NULL,
    policy_name TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    title TEXT NOT NULL,
    title_zh TEXT NOT NULL,
    message TEXT NOT NULL,
    message_zh TEXT NOT NULL,
    namespace TEXT NOT NULL,
    owner_kind TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    image TEXT NOT NULL,
    digest TEXT NOT NULL,
    user_name TEXT NOT NULL,
    hits BIGINT NOT NULL,                   -- requests; of what exists: objects
    reopened INTEGER NOT NULL DEFAULT 0,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,             -- of the state
    swept_at BIGINT NOT NULL DEFAULT 0,     -- of what exists: last sweep that saw it
    object_id BIGINT NOT NULL DEFAULT 0,    -- part: the last object
    exception_id BIGINT NOT NULL DEFAULT 0,
    handler TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    told_at BIGINT NOT NULL DEFAULT 0,
    told_hits BIGINT NOT NULL DEFAULT 0,
    detail {blob} NOT NULL                  -- the last violation, as JSON
);
CREATE UNIQUE INDEX admission_events_key ON admission_events (target_id, event_key);
CREATE INDEX admission_events_last ON admission_events (last_at, id);
CREATE INDEX admission_events_first ON admission_events (first_at, id);
CREATE INDEX admission_events_hits ON admission_events (hits, id);
CREATE INDEX admission_events_target ON admission_events (target_id, last_at, id);
CREATE INDEX admission_events_place ON admission_events (target_id, namespace, last_at, id);
CREATE INDEX admission_events_state ON admission_events (state, last_at, id);
CREATE INDEX admission_events_kind ON admission_events (kind, last_at, id);
CREATE INDEX admission_events_policy ON admission_events (policy_id, last_at, id);
CREATE INDEX admission_events_rule ON admission_events (rule, last_at, id);
CREATE INDEX admission_events_object ON admission_events (object_id) WHERE object_id <> 0;
CREATE INDEX admission_events_swept ON admission_events (target_id, swept_at) WHERE kind = 5;
CREATE INDEX admission_events_untold ON admission_events (target_id, last_at) WHERE told_at = 0;

-- Words of events, for the search: those of what stands in the key, and of the title.
-- only sqlite
CREATE VIRTUAL TABLE admission_words USING fts5(words, content='', prefix='1 2 3');
CREATE TRIGGER admission_events_added AFTER INSERT ON admission_events BEGIN
    INSERT INTO admission_words (rowid, words) VALUES (NEW.id, NEW.rule || ' ' || NEW.rule_id || ' ' || NEW.title || ' ' || NEW.namespace || ' ' || NEW.owner_kind || ' ' || NEW.owner_name || ' ' || NEW.image);
END;
CREATE TRIGGER admission_events_removed AFTER DELETE ON admission_events BEGIN
    INSERT INTO admission_words (admission_words, rowid, words) VALUES ('delete', OLD.id, OLD.rule || ' ' || OLD.rule_id || ' ' || OLD.title || ' ' || OLD.namespace || ' ' || OLD.owner_kind || ' ' || OLD.owner_name || ' ' || OLD.image);
END;
-- end
-- only postgres
CREATE INDEX admission_words ON admission_events USING gin (stockade_words(rule || ' ' || rule_id || ' ' || title || ' ' || namespace || ' ' || owner_kind || ' ' || owner_name || ' ' || image));
-- end

-- How many events and requests there are of each kind: lists are counted by this.
CREATE TABLE admission_cells (
    target_id BIGINT NOT NULL,
    namespace TEXT NOT NULL,
    kind SMALLINT NOT NULL,
    action SMALLINT NOT NULL,
    state SMALLINT NOT NULL,
    policy_id BIGINT NOT NULL,
    rule TEXT NOT NULL,
    events BIGINT NOT NULL,
    hits BIGINT NOT NULL,
    PRIMARY KEY (target_id, namespace, kind, action, state, policy_id, rule)
);

-- Names of what events are about, each once.
CREATE TABLE admission_rules (
    rule TEXT PRIMARY KEY,
    rule_id TEXT NOT NULL,
    title TEXT NOT NULL,
    title_zh TEXT NOT NULL
);

-- The latest occurrences of each event: a ring.
CREATE TABLE admission_occurrences (
    event_id BIGINT NOT NULL,
    slot SMALLINT NOT NULL,
    target_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    who_id BIGINT NOT NULL,
    what_id BIGINT NOT NULL,
    object_id BIGINT NOT NULL,
    body {blob} NOT NULL,
    PRIMARY KEY (event_id, slot)
);
CREATE INDEX admission_occurrences_at ON admission_occurrences (target_id, at);

-- Requests by hour: of each event, and of each namespace by what became of them.
CREATE TABLE admission_event_hours (
    event_id BIGINT NOT NULL,
    hour INTEGER NOT NULL,                  -- since 1970
    hits BIGINT NOT NULL,
    PRIMARY KEY (event_id, hour)
);
CREATE INDEX admission_event_hours_hour ON admission_event_hours (hour);
CREATE TABLE admission_hours (
    target_id BIGINT NOT NULL,
    hour INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    outcome SMALLINT NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (target_id, hour, namespace, outcome)
);
CREATE INDEX admission_hours_hour ON admission_hours (hour);

-- Whose pods asked for which images.
CREATE TABLE admission_images (
    target_id BIGINT NOT NULL,
    reference TEXT NOT NULL,
    namespace TEXT NOT NULL,
    owner_kind TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    object_id BIGINT NOT NULL,
    last_at BIGINT NOT NULL,                -- give or take an hour
    PRIMARY KEY (target_id, reference, namespace, owner_kind, owner_name)
);
CREATE INDEX admission_images_at ON admission_images (last_at);

-- Requests that nobody judged.
CREATE TABLE admission_unchecked (
    id {id},
    target_id BIGINT NOT NULL REFERENCES targets (id),
    unchecked_key {blob} NOT NULL,
    uid_key BIGINT NOT NULL,
    uid TEXT NOT NULL,
    generation BIGINT NOT NULL,
    reason SMALLINT NOT NULL,               -- admission.Reason
    state SMALLINT NOT NULL,                -- admission.Checked
    api_version TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    owner_kind TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    hits BIGINT NOT NULL,
    written_at BIGINT NOT NULL,             -- when the request was let in
    from_at BIGINT NOT NULL DEFAULT 0,      -- the time in which nobody was there
    until_at BIGINT NOT NULL DEFAULT 0,
    found_at BIGINT NOT NULL,
    judged_at BIGINT NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    told_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX admission_unchecked_key ON admission_unchecked (target_id, unchecked_key);
CREATE INDEX admission_unchecked_uid ON admission_unchecked (target_id, uid_key) WHERE uid_key <> 0;
CREATE INDEX admission_unchecked_list ON admission_unchecked (found_at, id);
CREATE INDEX admission_unchecked_target ON admission_unchecked (target_id, found_at, id);
CREATE INDEX admission_unchecked_open ON admission_unchecked (target_id, judged_at, id) WHERE state = 1;
CREATE INDEX admission_unchecked_untold ON admission_unchecked (target_id) WHERE told_at = 0;

-- How far what lives was held against the log.
CREATE TABLE admission_sweeps (
    target_id BIGINT NOT NULL,
    resource TEXT NOT NULL,                 -- "deployments.v1.apps"
    through_at BIGINT NOT NULL,             -- everything written before was looked at
    at BIGINT NOT NULL,
    objects INTEGER NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (target_id, resource)
);

-- Where messages go: web addresses, mail, log collectors.
CREATE TABLE channels (
    id {id},
    name TEXT NOT NULL,
    kind TEXT NOT NULL,                     -- webhook, slack, template, mail, syslog, cef
    settings TEXT NOT NULL,                 -- JSON, by kind
    secret {blob} NOT NULL,                 -- sealed; empty for none
    language TEXT NOT NULL,                 -- en, zh
    enabled BOOLEAN NOT NULL,
    shared BOOLEAN NOT NULL,                -- reports of people who may not manage channels can use it
    filter TEXT NOT NULL,                   -- notify.Filter as JSON
    digest TEXT NOT NULL DEFAULT '',        -- '' at once, hourly, daily
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    leased_until BIGINT NOT NULL DEFAULT 0, -- a process sends through it until then
    sent_at BIGINT NOT NULL DEFAULT 0,      -- last message that was taken
    failed_at BIGINT NOT NULL DEFAULT 0,    -- last attempt that failed
    failure TEXT NOT NULL DEFAULT ''        -- of that attempt; '' when the last one succeeded
);
CREATE UNIQUE INDEX channels_name ON channels (name);

-- One message for one channel. The event stands in it as it was when it was made, so that every attempt sends the same.
CREATE TABLE deliveries (
    id {id},
    channel_id BIGINT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    outbox_id BIGINT NOT NULL,              -- row of the outbox; of a digest the negative id of its first delivery
    event TEXT NOT NULL,                    -- id that receivers see, the same in every attempt
    topic TEXT NOT NULL,
    target_id BIGINT NOT NULL DEFAULT 0,
    title TEXT NOT NULL,                    -- in the language of the channel
    at BIGINT NOT NULL,                     -- of the change
    state TEXT NOT NULL,                    -- gathered (for a digest), waiting, sent, dead, digested
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at BIGINT NOT NULL,                -- of the next attempt, or of the digest
    done_at BIGINT NOT NULL DEFAULT 0,      -- sent, dead or digested
    answer TEXT NOT NULL DEFAULT '',        -- of the receiver, or why it failed; redacted
    body TEXT NOT NULL                      -- message.Event as JSON; '' when done
);
CREATE UNIQUE INDEX deliveries_key ON deliveries (outbox_id, channel_id);
CREATE INDEX deliveries_channel ON deliveries (channel_id, id);
CREATE INDEX deliveries_due ON deliveries (channel_id, next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_open ON deliveries (channel_id, id) WHERE state = 'waiting';
CREATE INDEX deliveries_gathered ON deliveries (channel_id, id) WHERE state = 'gathered';
CREATE INDEX deliveries_done ON deliveries (done_at) WHERE done_at <> 0;

-- Reports by schedule: what a filter selects of what their owner may see.
CREATE TABLE reports (
    id {id},
    name TEXT NOT NULL,
    owner_id BIGINT NOT NULL,
    filter TEXT NOT NULL,                   -- browse.Filter as JSON
    form TEXT NOT NULL,                     -- html, csv, json, sarif
    language TEXT NOT NULL,
    cron TEXT NOT NULL,                     -- '' only when asked
    zone TEXT NOT NULL,
    channels TEXT NOT NULL,                 -- JSON list of ids
    keep INTEGER NOT NULL,                  -- results that are kept
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    next_at BIGINT NOT NULL DEFAULT 0,      -- 0: not by schedule
    asked_at BIGINT NOT NULL DEFAULT 0,     -- somebody wants it now
    started_at BIGINT NOT NULL DEFAULT 0    -- it is being made since; a lease
);
CREATE UNIQUE INDEX reports_name ON reports (owner_id, name);
CREATE INDEX reports_due ON reports (next_at) WHERE next_at <> 0;

-- What became of reports.
CREATE TABLE report_results (
    id {id},
    report_id BIGINT NOT NULL REFERENCES reports (id) ON DELETE CASCADE,
    form TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    findings INTEGER NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,        -- of the report
    error TEXT NOT NULL DEFAULT '',
    visible TEXT NOT NULL DEFAULT '',       -- identity.Visible of the owner when it was written, as JSON
    body {blob} NOT NULL                    -- zstd; empty when it failed
);
CREATE INDEX report_results_report ON report_results (report_id, id);

-- How the watch of each cluster stands: written by the replica that watches.
CREATE TABLE watches (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    since BIGINT NOT NULL,                  -- since when every change was noticed; 0 while it is not in step
    kinds INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    waiting INTEGER NOT NULL,               -- changed objects that are not judged yet
    judged BIGINT NOT NULL,                 -- since it began
    error TEXT NOT NULL DEFAULT '',
    updated_at BIGINT NOT NULL              -- an old one is of a watch that ended
);

-- What lists show of an inventory without opening it, written together with it.
CREATE TABLE image_facts (
    digest TEXT PRIMARY KEY REFERENCES inventories (digest) ON DELETE CASCADE,
    created_at BIGINT NOT NULL DEFAULT 0,   -- when the image was built, as it says itself
    size BIGINT NOT NULL DEFAULT 0,         -- compressed bytes of the layers, 0 when they are not known
    os TEXT NOT NULL DEFAULT '',            -- release: "Debian 12"
    layers INTEGER NOT NULL DEFAULT 0,
    base_name TEXT NOT NULL DEFAULT '',     -- as the labels of the image name its base
    base_digest TEXT NOT NULL DEFAULT '',
    chain BIGINT NOT NULL DEFAULT 0,        -- hash of all layers in order, 0 when they cannot be told apart
    chains {blob}                           -- the same after each layer, 8 bytes each: an image whose chain is among them is below it
);
CREATE INDEX image_facts_chain ON image_facts (chain) WHERE chain <> 0;

-- The core components that the last full scan of a cluster recognised, and the programs that its nodes say they run.
CREATE TABLE cluster_components (
    target_id BIGINT PRIMARY KEY REFERENCES targets (id),
    at BIGINT NOT NULL,
    body TEXT NOT NULL                      -- inventory.CoreSurvey as JSON
);

-- Indexes of the lists. A list walks the index of its sort until the page is full, or starts from what its filter selects: see
-- browse/plan.go. Active findings and those that ended have indexes of their own, each row stands in one of the two: else lists
-- of what is open would walk through years of what was fixed. Kinds come first because texts, packages and images go with them.
DROP INDEX findings_priority;
DROP INDEX findings_severity;
DROP INDEX findings_kind;
DROP INDEX findings_changed;
DROP INDEX findings_package;
DROP INDEX findings_namespace;
DROP INDEX findings_resource;
DROP INDEX findings_image;
DROP INDEX findings_rule;

CREATE INDEX findings_severity ON findings (severity, priority, id) WHERE status <= 3;
CREATE INDEX findings_kind ON findings (kind, severity, priority, id) WHERE status <= 3;
CREATE INDEX findings_kind_rule ON findings (kind, severity, rule, id) WHERE status <= 3;
CREATE INDEX findings_kind_package ON findings (kind, package, id) WHERE status <= 3;
CREATE INDEX findings_kind_namespace ON findings (kind, severity, namespace, id) WHERE status <= 3;
CREATE INDEX findings_kind_resource ON findings (kind, resource, id) WHERE status <= 3;
CREATE INDEX findings_kind_image ON findings (kind, image, id) WHERE status <= 3;
CREATE INDEX findings_kind_first ON findings (kind, first_seen, id) WHERE status <= 3;
CREATE INDEX findings_kind_changed ON findings (kind, changed_at, id) WHERE status <= 3;
CREATE INDEX findings_target_kind ON findings (target_id, kind, severity, priority, id) WHERE status <= 3;
CREATE INDEX findings_target_namespace ON findings (target_id, namespace, id) WHERE status <= 3;
CREATE INDEX findings_target_rule ON findings (target_id, rule, id) WHERE status <= 3;
CREATE INDEX findings_target_package ON findings (target_id, package, id) WHERE status <= 3;
CREATE INDEX findings_target_resource ON findings (target_id, resource, id) WHERE status <= 3;
CREATE INDEX findings_target_image ON findings (target_id, image, id) WHERE status <= 3;
CREATE INDEX findings_target_changed ON findings (target_id, changed_at, id) WHERE status <= 3;
CREATE INDEX findings_target_first ON findings (target_id, first_seen, id) WHERE status <= 3;

CREATE INDEX findings_severity_ended ON findings (severity, priority, id) WHERE status > 3;
CREATE INDEX findings_kind_ended ON findings (kind, severity, priority, id) WHERE status > 3;
CREATE INDEX findings_kind_rule_ended ON findings (kind, severity, rule, id) WHERE status > 3;
CREATE INDEX findings_kind_package_ended ON findings (kind, package, id) WHERE status > 3;
CREATE INDEX findings_kind_namespace_ended ON findings (kind, severity, namespace, id) WHERE status > 3;
CREATE INDEX findings_kind_resource_ended ON findings (kind, resource, id) WHERE status > 3;
CREATE INDEX findings_kind_image_ended ON findings (kind, image, id) WHERE status > 3;
CREATE INDEX findings_kind_first_ended ON findings (kind, first_seen, id) WHERE status > 3;
CREATE INDEX findings_kind_changed_ended ON findings (kind, changed_at, id) WHERE status > 3;
CREATE INDEX findings_target_kind_ended ON findings (target_id, kind, severity, priority, id) WHERE status > 3;
CREATE INDEX findings_target_namespace_ended ON findings (target_id, namespace, id) WHERE status > 3;
CREATE INDEX findings_target_rule_ended ON findings (target_id, rule, id) WHERE status > 3;
CREATE INDEX findings_target_package_ended ON findings (target_id, package, id) WHERE status > 3;
CREATE INDEX findings_target_resource_ended ON findings (target_id, resource, id) WHERE status > 3;
CREATE INDEX findings_target_image_ended ON findings (target_id, image, id) WHERE status > 3;
CREATE INDEX findings_target_changed_ended ON findings (target_id, changed_at, id) WHERE status > 3;
CREATE INDEX findings_target_first_ended ON findings (target_id, first_seen, id) WHERE status > 3;

CREATE INDEX findings_rule ON findings (rule, severity, priority, id);
-- Few are known to be exploited: one index that answers for all of them.
CREATE INDEX findings_kev ON findings (kind, severity, priority, rule, package, namespace, resource, image, target_id, status, first_seen, last_seen, changed_at, kev, id) WHERE kev;
CREATE INDEX findings_seen ON findings (status, last_seen, target_id, first_seen, id) WHERE last_seen <> 0;
CREATE INDEX findings_assignee ON findings (assignee_id, id) WHERE assignee_id <> 0;
CREATE INDEX assets_digest ON assets (digest) WHERE digest <> '';
CREATE INDEX days_cell ON days (target_id, kind, severity, day);
CREATE INDEX targets_removed ON targets (id) WHERE removed_at <> 0;

-- Names of packages in findings, each once, for the search.
CREATE TABLE packages (
    id {id},
    name TEXT NOT NULL
);
CREATE UNIQUE INDEX packages_name ON packages (name);
-- Which risks were found in which packages, each pair once: lists of a search by rule and by package go from one to the next.
CREATE TABLE package_risks (
    package TEXT NOT NULL,
    risk_id BIGINT NOT NULL,
    PRIMARY KEY (package, risk_id)
);
CREATE INDEX package_risks_risk ON package_risks (risk_id, package);

-- Words of risks, assets and packages. Texts in Chinese are searched by characters in the table of risks itself.
-- only sqlite
CREATE VIRTUAL TABLE risk_words USING fts5(words, content='', prefix='1 2 3');
CREATE VIRTUAL TABLE asset_words USING fts5(words, content='', prefix='1 2 3');
CREATE VIRTUAL TABLE package_words USING fts5(words, content='', prefix='1 2 3');
CREATE TRIGGER risks_added AFTER INSERT ON risks BEGIN
    INSERT INTO risk_words (rowid, words) VALUES (NEW.id, NEW.rule || ' ' || NEW.rule_id || ' ' || NEW.title);
END;
CREATE TRIGGER risks_changed AFTER UPDATE OF rule, rule_id, title ON risks
WHEN OLD.rule <> NEW.rule OR OLD.rule_id <> NEW.rule_id OR OLD.title <> NEW.title BEGIN
    INSERT INTO risk_words (risk_words, rowid, words) VALUES ('delete', OLD.id, OLD.rule || ' ' || OLD.rule_id || ' ' || OLD.title);
    INSERT INTO risk_words (rowid, words) VALUES (NEW.id, NEW.rule || ' ' || NEW.rule_id || ' ' || NEW.title);
END;
CREATE TRIGGER assets_added AFTER INSERT ON assets BEGIN
    INSERT INTO asset_words (rowid, words) VALUES (NEW.id, NEW.name);
END;
CREATE TRIGGER packages_added AFTER INSERT ON packages BEGIN
    INSERT INTO package_words (rowid, words) VALUES (NEW.id, NEW.name);
END;
CREATE TRIGGER findings_package AFTER INSERT ON findings WHEN NEW.package <> ''
AND NOT EXISTS (SELECT 1 FROM package_risks WHERE risk_id = NEW.risk_id AND package = NEW.package) BEGIN
    INSERT INTO package_risks (package, risk_id) VALUES (NEW.package, NEW.risk_id);
    INSERT INTO packages (name) SELECT NEW.package WHERE NOT EXISTS (SELECT 1 FROM packages WHERE name = NEW.package);
END;
CREATE TRIGGER findings_repackaged AFTER UPDATE OF risk_id, package ON findings
WHEN NEW.package <> '' AND (OLD.package <> NEW.package OR OLD.risk_id <> NEW.risk_id)
AND NOT EXISTS (SELECT 1 FROM package_risks WHERE risk_id = NEW.risk_id AND package = NEW.package) BEGIN
    INSERT INTO package_risks (package, risk_id) VALUES (NEW.package, NEW.risk_id);
    INSERT INTO packages (name) SELECT NEW.package WHERE NOT EXISTS (SELECT 1 FROM packages WHERE name = NEW.package);
END;
-- end
-- only postgres
CREATE FUNCTION stockade_words(text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT array_to_tsvector(array_remove(regexp_split_to_array(lower(left($1, 4000)), '[^a-z0-9]+'), '')) $$;
CREATE INDEX risk_words ON risks USING gin (stockade_words(rule || ' ' || rule_id || ' ' || title));
CREATE INDEX asset_words ON assets USING gin (stockade_words(name));
CREATE INDEX package_words ON packages USING gin (stockade_words(name));
CREATE FUNCTION stockade_packages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO package_risks (package, risk_id)
    SELECT DISTINCT n.package, n.risk_id FROM added n
    WHERE n.package <> '' AND NOT EXISTS (SELECT 1 FROM package_risks p WHERE p.package = n.package AND p.risk_id = n.risk_id)
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
    INSERT INTO packages (name)
    SELECT DISTINCT n.package FROM added n
    WHERE n.package <> '' AND NOT EXISTS (SELECT 1 FROM packages p WHERE p.name = n.package)
    ORDER BY 1
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER findings_package AFTER INSERT ON findings REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION stockade_packages();
CREATE FUNCTION stockade_repackaged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO package_risks (package, risk_id) VALUES (NEW.package, NEW.risk_id) ON CONFLICT DO NOTHING;
    INSERT INTO packages (name) VALUES (NEW.package) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER findings_repackaged AFTER UPDATE OF risk_id, package ON findings FOR EACH ROW
    WHEN (NEW.package <> '' AND (OLD.package <> NEW.package OR OLD.risk_id <> NEW.risk_id)) EXECUTE FUNCTION stockade_repackaged();
-- end

-- Signatures that nobody asked about for a month are dropped unless an image of theirs is still asked about.
CREATE INDEX verdicts_digest ON verdicts (digest) WHERE digest <> '';
CREATE INDEX verdict_signatures_checked ON verdict_signatures (checked_at);

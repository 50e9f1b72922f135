-- What is shown of workloads, nodes and namespaces beside what is wrong with them: finding.Facts as JSON.
ALTER TABLE assets ADD COLUMN facts TEXT NOT NULL DEFAULT '';

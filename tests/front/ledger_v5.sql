-- A ledger of schema version 5, as its front made it. Frozen: what migration must be able to read.
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE epochs(epoch INTEGER PRIMARY KEY, after_seq INTEGER NOT NULL, boot TEXT NOT NULL, opened_ns INTEGER NOT NULL);
CREATE TABLE jobs(id INTEGER PRIMARY KEY, client TEXT NOT NULL, kind TEXT NOT NULL, priority INTEGER NOT NULL, submitted_ns INTEGER NOT NULL, deadline_ns INTEGER, not_before_ns INTEGER, intake_ns INTEGER NOT NULL, queued_ns INTEGER NOT NULL, parent INTEGER, key TEXT, content_hash TEXT, trace TEXT, digests TEXT, body BLOB);
CREATE TABLE ends(seq INTEGER PRIMARY KEY, job INTEGER NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL, at_ns INTEGER NOT NULL, code TEXT, message TEXT, field TEXT, digests TEXT, timeline BLOB, result BLOB, file_bytes INTEGER, took_ns INTEGER);
CREATE TABLE notes(job INTEGER NOT NULL, seq INTEGER NOT NULL, what INTEGER NOT NULL, charges INTEGER NOT NULL, failures INTEGER NOT NULL, due_ns INTEGER, data BLOB, PRIMARY KEY(job, seq)) WITHOUT ROWID;
CREATE TABLE refs(digest TEXT NOT NULL, job INTEGER NOT NULL, PRIMARY KEY(digest, job)) WITHOUT ROWID;
CREATE TABLE commits(head INTEGER PRIMARY KEY, accepted INTEGER NOT NULL, done INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL, expired INTEGER NOT NULL, keys INTEGER NOT NULL, result_bytes INTEGER NOT NULL, ends BLOB, wholes BLOB);
CREATE TABLE retired(done INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL, expired INTEGER NOT NULL, keys INTEGER NOT NULL, result_bytes INTEGER NOT NULL, through_seq INTEGER NOT NULL, results_through_seq INTEGER NOT NULL);
CREATE TABLE fates(block INTEGER PRIMARY KEY, live INTEGER NOT NULL, latest_ns INTEGER NOT NULL, slots BLOB NOT NULL);
CREATE INDEX fates_live ON fates(block) WHERE live > 0;
CREATE UNIQUE INDEX jobs_key ON jobs(client, key) WHERE key IS NOT NULL;
CREATE TABLE retired_keys(client TEXT NOT NULL, key TEXT NOT NULL, job INTEGER NOT NULL, content_hash TEXT NOT NULL, at_ns INTEGER NOT NULL, end INTEGER NOT NULL, PRIMARY KEY(client, key)) WITHOUT ROWID;
CREATE INDEX retired_keys_job ON retired_keys(job);
INSERT INTO retired VALUES(0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO meta VALUES('ledger_id', lower(hex(randomblob(16))));
PRAGMA user_version = 5;

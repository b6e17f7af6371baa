-- SPDX-License-Identifier: Apache-2.0
-- A queue as schema 1 keeps it: a set with a member that is done, a put half sent, a row pruned.
PRAGMA application_id = 1868786020;
BEGIN;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  set_id INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  state INTEGER NOT NULL,
  sealed INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  client TEXT,
  key TEXT,
  outcome BLOB,
  spec BLOB);
CREATE TABLE transfers (
  job INTEGER PRIMARY KEY,
  phase INTEGER NOT NULL,
  total INTEGER NOT NULL,
  part_bytes INTEGER NOT NULL,
  remote_id TEXT,
  etag TEXT,
  cursor BLOB);
CREATE TABLE parts (
  job INTEGER NOT NULL,
  part_no INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  crc32c INTEGER NOT NULL,
  etag TEXT,
  PRIMARY KEY (job, part_no)) WITHOUT ROWID;
INSERT INTO meta VALUES ('uuid', '01234567-89ab-4cde-8f01-23456789abcd');
INSERT INTO jobs VALUES (1, 0, 1000, 9, 0, 0, 1700000000000, 0, 'label', NULL, NULL, x'6669727374');
INSERT INTO jobs VALUES (2, 1, 1000, 0, 4, 0, 1700000000001, 1700000000009, 'label', 'key-of-2', NULL, x'7365636f6e64');
INSERT INTO jobs VALUES (3, 1, 1000, 0, 0, 0, 1700000000002, 0, 'label', NULL, NULL, x'746869726401');
INSERT INTO jobs VALUES (41, 0, 1000, 0, 4, 0, 1700000000003, 1700000000009, NULL, NULL, NULL, x'676f6e65');
DELETE FROM jobs WHERE id = 41;
INSERT INTO transfers VALUES (3, 2, 99, 50, 'upload-of-3', NULL, NULL);
INSERT INTO parts VALUES (3, 1, 50, 4294967295, 'etag-1');
INSERT INTO parts VALUES (3, 2, 49, 0, 'etag-2');
PRAGMA user_version = 1;
COMMIT;

# SPDX-License-Identifier: Apache-2.0
"""catalog.py - everything the store knows except the bytes of larger objects, in one SQLite
file.

Rows carry their facts as a JSON document; only what is searched for is a column. Object
names are blobs, so that SQLite orders them by their UTF-8 bytes. Single writer: the event
loop. Survives a kill of the process, not of the machine (synchronous is off).
"""

import json
import os
import sqlite3

SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=OFF;
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (bucket TEXT, name BLOB, doc TEXT NOT NULL,
    PRIMARY KEY (bucket, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (seq INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT,
    name BLOB, version TEXT, doc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS versions_by_name ON versions (bucket, name, seq);
CREATE TABLE IF NOT EXISTS uploads (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE,
    bucket TEXT, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS parts (upload TEXT, num INTEGER, doc TEXT NOT NULL,
    PRIMARY KEY (upload, num)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pars (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE,
    bucket TEXT, token TEXT UNIQUE, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS small (id TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (kind TEXT, key TEXT, doc TEXT NOT NULL,
    PRIMARY KEY (kind, key));
"""


class Catalog:
    def __init__(self, folder):
        self.db = sqlite3.connect(os.path.join(folder, "catalog.db"), isolation_level=None)
        self.db.executescript(SCHEMA)
        self.buckets = {name: json.loads(doc)
                        for name, doc in self.db.execute("SELECT name, doc FROM buckets")}

    def close(self):
        self.db.close()

    def _doc(self, sql, *args):
        row = self.db.execute(sql, args).fetchone()
        return json.loads(row[0]) if row else None

    # Buckets: small, so all of them are in memory too.

    def put_bucket(self, doc):
        self.buckets[doc["name"]] = doc
        self.db.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)",
                        (doc["name"], json.dumps(doc)))

    def drop_bucket(self, name):
        self.buckets.pop(name, None)
        self.db.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def usage(self, bucket):
        """(number of objects, their bytes)."""
        return self.db.execute("SELECT count(*), coalesce(sum(json_extract(doc, '$.size')), 0) "
                               "FROM objects WHERE bucket = ?", (bucket,)).fetchone()

    def holds(self, table, bucket):
        """Whether a bucket has any row in `objects`, `versions`, `uploads` or `pars`."""
        sql = f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1"
        return self.db.execute(sql, (bucket,)).fetchone() is not None

    # Current objects.

    def object(self, bucket, name):
        return self._doc("SELECT doc FROM objects WHERE bucket = ? AND name = ?",
                         bucket, name.encode())

    def put_object(self, bucket, name, doc):
        self.db.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)",
                        (bucket, name.encode(), json.dumps(doc)))

    def drop_object(self, bucket, name):
        self.db.execute("DELETE FROM objects WHERE bucket = ? AND name = ?",
                        (bucket, name.encode()))

    def scan(self, bucket, low, high, limit):
        """(name, document text) of current objects with low <= name < high, in byte order."""
        sql = "SELECT name, doc FROM objects WHERE bucket = ? AND name >= ?"
        args = [bucket, low]
        if high is not None:
            sql, args = sql + " AND name < ?", [*args, high]
        return self.db.execute(sql + " ORDER BY name LIMIT ?", (*args, limit))

    # Former versions and delete markers.

    def add_version(self, bucket, name, doc):
        self.db.execute("INSERT INTO versions (bucket, name, version, doc) VALUES (?, ?, ?, ?)",
                        (bucket, name.encode(), doc["version"], json.dumps(doc)))

    def version(self, bucket, name, version):
        return self._doc("SELECT doc FROM versions WHERE bucket = ? AND name = ? AND version = ?",
                         bucket, name.encode(), version)

    def put_version(self, bucket, name, doc):
        self.db.execute("UPDATE versions SET doc = ? WHERE bucket = ? AND name = ? AND version = ?",
                        (json.dumps(doc), bucket, name.encode(), doc["version"]))

    def drop_version(self, bucket, name, version):
        self.db.execute("DELETE FROM versions WHERE bucket = ? AND name = ? AND version = ?",
                        (bucket, name.encode(), version))

    def newest_version(self, bucket, name):
        return self._doc("SELECT doc FROM versions WHERE bucket = ? AND name = ? "
                         "ORDER BY seq DESC LIMIT 1", bucket, name.encode())

    def scan_versions(self, bucket, low, high):
        """(name, document) of former versions, by name, newest first."""
        sql = "SELECT name, doc FROM versions WHERE bucket = ? AND name >= ?"
        args = [bucket, low]
        if high is not None:
            sql, args = sql + " AND name < ?", [*args, high]
        return [(name, json.loads(doc))
                for name, doc in self.db.execute(sql + " ORDER BY name, seq DESC", args)]

    # Multipart uploads.

    def put_upload(self, doc):
        self.db.execute("INSERT INTO uploads (id, bucket, doc) VALUES (?, ?, ?)",
                        (doc["uploadId"], doc["bucket"], json.dumps(doc)))

    def upload(self, upload_id):
        return self._doc("SELECT doc FROM uploads WHERE id = ?", upload_id)

    def uploads(self, bucket, after=0, limit=-1):
        """(position, document) of unfinished uploads, oldest first."""
        rows = self.db.execute("SELECT seq, doc FROM uploads WHERE bucket = ? AND seq > ? "
                               "ORDER BY seq LIMIT ?", (bucket, after, limit))
        return [(seq, json.loads(doc)) for seq, doc in rows]

    def drop_upload(self, upload_id):
        self.db.execute("DELETE FROM parts WHERE upload = ?", (upload_id,))
        self.db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))

    def part(self, upload_id, num):
        return self._doc("SELECT doc FROM parts WHERE upload = ? AND num = ?", upload_id, num)

    def put_part(self, upload_id, num, doc):
        self.db.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)",
                        (upload_id, num, json.dumps(doc)))

    def parts(self, upload_id, after=0, limit=-1):
        """(number, document), ascending."""
        rows = self.db.execute("SELECT num, doc FROM parts WHERE upload = ? AND num > ? "
                               "ORDER BY num LIMIT ?", (upload_id, after, limit))
        return [(num, json.loads(doc)) for num, doc in rows]

    # Pre-authenticated requests.

    def put_par(self, bucket, token, doc):
        self.db.execute("INSERT INTO pars (id, bucket, token, doc) VALUES (?, ?, ?, ?)",
                        (doc["id"], bucket, token, json.dumps(doc)))

    def par(self, bucket, par_id):
        return self._doc("SELECT doc FROM pars WHERE bucket = ? AND id = ?", bucket, par_id)

    def par_by_token(self, token):
        return self._doc("SELECT doc FROM pars WHERE token = ?", token)

    def pars(self, bucket, after, limit):
        """(position, document), oldest first."""
        rows = self.db.execute("SELECT seq, doc FROM pars WHERE bucket = ? AND seq > ? "
                               "ORDER BY seq LIMIT ?", (bucket, after, limit))
        return [(seq, json.loads(doc)) for seq, doc in rows]

    def drop_par(self, bucket, par_id):
        """Whether there was one."""
        return self.db.execute("DELETE FROM pars WHERE bucket = ? AND id = ?",
                               (bucket, par_id)).rowcount > 0

    # Small blobs; blobs.py decides which.

    def put_bytes(self, blob, data):
        self.db.execute("INSERT OR REPLACE INTO small VALUES (?, ?)", (blob, bytes(data)))

    def bytes_of(self, blob):
        row = self.db.execute("SELECT data FROM small WHERE id = ?", (blob,)).fetchone()
        if row is None:
            raise OSError(f"there is no blob {blob}")
        return row[0]

    def drop_bytes(self, blob):
        self.db.execute("DELETE FROM small WHERE id = ?", (blob,))

    # Anything else that has a key: public keys, users, work requests, settings.

    def put_fact(self, kind, key, value):
        self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
                        (kind, key, json.dumps(value)))

    def fact(self, kind, key):
        return self._doc("SELECT doc FROM facts WHERE kind = ? AND key = ?", kind, key)

    def facts(self, kind):
        return {key: json.loads(doc) for key, doc in
                self.db.execute("SELECT key, doc FROM facts WHERE kind = ?", (kind,))}

    def drop_fact(self, kind, key):
        self.db.execute("DELETE FROM facts WHERE kind = ? AND key = ?", (kind, key))

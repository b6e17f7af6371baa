# SPDX-License-Identifier: Apache-2.0
#
# Written by proto/mkdocs.c from proto/messages.def and include/ocid/error.h; do not edit.
# ruff: noqa: E501
"""The protocol's tables: enums, errors, messages, methods."""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One field of a message; ``of`` names the enum or message of its values."""

    name: str
    type: str
    required: bool
    bound: int
    of: str
    doc: str


class Error(NamedTuple):
    """One error: number, ``never``/``later``/``cured``, exit status, sentence."""

    number: int
    retry: str
    exit: int
    text: str


class Method(NamedTuple):
    """One method: names of its two messages and the version it came with."""

    request: str
    reply: str
    since: int
    doc: str


PROTOCOL_MIN = 1
PROTOCOL_MAX = 1
MAX_FRAME = 1048576
MAX_DEPTH = 8
MAX_FDS = 64
MAX_JOBS = 1000

ENUMS: dict[str, dict[str, str]] = {
    "kind": {
        "put": "upload a file, passed bytes or a pipe",
        "get": "download an object into a file or a pipe",
        "list": "list the objects of a bucket into a pipe or a file",
        "head": "ask for an object's headers",
        "delete": "delete an object",
        "mkbucket": "make a bucket",
        "buckets": "list the buckets of a compartment into a pipe",
        "whoami": "ask the identity service who the profile's user is",
        "namespace": "ask for the tenancy's namespace",
        "set": "a group of jobs that its client adds to and seals",
        "pull": "a set that lists a prefix and downloads each object below a directory; not_found if there is none",
        "uploads": "list the unfinished multipart uploads of a bucket into a pipe",
        "abort": "abort an unfinished multipart upload, unless a job of the daemon is at it",
        "share": "make a link to an object or a prefix, for those who have no credentials",
        "shares": "list the links of a bucket into a pipe; what they are is not told again",
        "revoke": "end a link before its time",
        "watch": "wait until an object appears, changes or is gone",
    },
    "state": {
        "queued": "ready, has not been granted a slot yet",
        "running": "has requests in flight",
        "waiting": "cannot go on until what `why` names has happened",
        "paused": "paused by a person",
        "done": "final: durable, and proven in the way that `verified` names",
        "failed": "final: `error` names the reason",
        "cancelled": "final: cancelled by a person",
    },
    "why": {
        "none": "not waiting",
        "retry": "a try has failed; the next one is at `retry_at`",
        "locked": "the key needs its pass phrase: ocictl unlock",
        "login": "fresh credentials are needed",
        "file": "the source file is not where it was, or cannot be read",
        "space": "no space is left where its file is written",
        "destination": "the destination directory is not there, or cannot be written",
        "publish": "the client has to put the finished file in its place",
        "after": "the jobs it follows have not ended yet",
        "network": "the service cannot be reached",
        "members": "a set: its members are at work, or it is not sealed yet",
        "object": "a watch: the object is not as wanted yet; the next look is at `retry_at`",
    },
    "verified": {
        "none": "nothing was transferred, or checksums are off",
        "crc32c": "CRC32C of the very bytes agreed with the service's",
        "md5": "MD5 of the very bytes agreed with the service's",
        "length": "the length agreed; the service holds no sum of the whole object",
    },
    "scope": {
        "all": "all transfers of the daemon",
        "user": "those of a user",
        "client": "those of a client of a user: a label of hello",
        "set": "those of a set, as long as it has not ended",
    },
    "access": {
        "read": "get and head",
        "write": "put",
        "read_write": "both",
    },
}

ERRORS: dict[str, Error] = {
    "internal": Error(-1, "never", 1, "a fault of ocid itself"),
    "nomem": Error(-2, "never", 1, "out of memory"),
    "invalid": Error(-3, "never", 2, "the request is not valid"),
    "protocol": Error(-4, "never", 1, "the other side does not speak the protocol"),
    "version": Error(-5, "never", 1, "client and daemon have no protocol version in common"),
    "too_large": Error(-6, "never", 2, "larger than a limit allows"),
    "no_daemon": Error(-7, "never", 3, "the daemon is not running"),
    "denied_peer": Error(-8, "never", 3, "the daemon serves another user"),
    "queue_full": Error(-9, "later", 75, "the queue is full"),
    "config": Error(-10, "cured", 5, "a configuration file has an error"),
    "timed_out": Error(-11, "never", 124, "the wait has timed out"),
    "detached": Error(-12, "never", 130, "detached; the job goes on"),
    "stopping": Error(-13, "later", 3, "the daemon is stopping"),
    "cancelled": Error(-14, "never", 1, "cancelled"),
    "state": Error(-15, "never", 1, "not possible in the job's present state"),
    "io": Error(-16, "later", 1, "reading or writing a file has failed"),
    "unsupported": Error(-17, "never", 2, "not supported"),
    "not_found": Error(-20, "never", 4, "no such object, bucket or job"),
    "exists": Error(-21, "never", 6, "it exists already"),
    "condition": Error(-22, "never", 6, "the condition was not met"),
    "denied": Error(-23, "never", 5, "not allowed"),
    "auth": Error(-24, "never", 5, "the credentials were refused"),
    "checksum": Error(-25, "never", 1, "the bytes arrived changed"),
    "source_changed": Error(-26, "never", 7, "the source changed while it was read"),
    "server": Error(-27, "never", 1, "the service answered what retrying cannot mend"),
    "job_timeout": Error(-28, "never", 1, "the job's own time limit has passed"),
    "predecessor": Error(-29, "never", 1, "a job that this one waits for has not succeeded"),
    "name": Error(-30, "never", 2, "the name cannot be used"),
    "throttled": Error(-31, "later", 1, "the service asked us to slow down"),
    "unavailable": Error(-32, "later", 1, "the service is not available"),
    "network": Error(-33, "later", 1, "the network has failed"),
    "locked": Error(-40, "cured", 5, "the key is locked"),
    "login": Error(-41, "cured", 5, "fresh credentials are needed"),
    "key": Error(-42, "cured", 5, "the key file cannot be used"),
    "file": Error(-43, "cured", 1, "the source file is not there"),
    "space": Error(-44, "cured", 1, "no space is left"),
    "destination": Error(-45, "cured", 1, "the destination cannot be written"),
    "some_failed": Error(-46, "never", 8, "some of several jobs have failed"),
    "lost": Error(-47, "never", 1, "the bytes were in memory only, and are gone"),
}

MESSAGES: dict[str, tuple[Field, ...]] = {
    "hello": (
        Field("min", "u64", True, 0, "", "lowest protocol version that the client speaks"),
        Field("max", "u64", True, 0, "", "highest protocol version that the client speaks"),
        Field("software", "str", False, 64, "", "name and version of the client program"),
        Field("label", "str", False, 64, "", "fair sharing is among labels; without one among users"),
    ),
    "welcome": (
        Field("version", "u64", True, 0, "", "protocol version of this connection"),
        Field("software", "str", True, 64, "", "name and version of the daemon"),
        Field("uuid", "str", True, 64, "", "identity of the daemon's database: ids belong to it"),
        Field("epoch", "u64", True, 0, "", "sequence numbers of another epoch mean nothing"),
        Field("pid", "u64", True, 0, "", "process id of the daemon"),
        Field("max_frame", "u64", True, 0, "", "most bytes of a frame, without its length prefix"),
        Field("max_jobs", "u64", True, 0, "", "most jobs of one job.submit"),
        Field("features", "str", False, 256, "", "names of features, separated by spaces"),
    ),
    "error": (
        Field("code", "str", True, 32, "", "name of the error, as in the table of errors"),
        Field("text", "str", False, 1024, "", "one sentence: what, which, and what to do"),
        Field("http_status", "u64", False, 999, "", "status of the service's answer"),
        Field("service_code", "str", False, 64, "", "the service's own error code"),
        Field("request_id", "str", False, 128, "", "opc-request-id of the service's answer"),
        Field("index", "u64", False, 0, "", "place in the array of what was refused"),
    ),
    "job": (
        Field("kind", "enum", True, 0, "kind", "what sort of job"),
        Field("bucket", "str", False, 256, "", "bucket name"),
        Field("namespace", "str", False, 256, "", "namespace; else the tenancy's own"),
        Field("object", "str", False, 1024, "", "object name; pull, list, shares: the prefix"),
        Field("source", "bytes", False, 4096, "", "put: absolute path of the file"),
        Field("dest", "bytes", False, 4096, "", "get, list: absolute path to write; pull: a directory"),
        Field("fd", "u64", False, 63, "", "place among the descriptors of this message: a source or a pipe"),
        Field("spool", "bool", False, 0, "", "put: copy the descriptor's bytes before the reply; a pipe's as they come"),
        Field("size", "u64", False, 0, "", "put: the source's size when it was submitted; of a pipe: what it must come to"),
        Field("dev", "u64", False, 0, "", "put: its device number"),
        Field("inode", "u64", False, 0, "", "put: its inode number"),
        Field("mtime_ns", "i64", False, 0, "", "put: its time of change in nanoseconds"),
        Field("ctime_ns", "i64", False, 0, "", "put: its time of inode change in nanoseconds"),
        Field("content_type", "str", False, 256, "", "put: stored with the object"),
        Field("content_encoding", "str", False, 256, "", "put: stored with the object"),
        Field("content_language", "str", False, 256, "", "put: stored with the object"),
        Field("content_disposition", "str", False, 512, "", "put: stored with the object"),
        Field("cache_control", "str", False, 256, "", "put: stored with the object"),
        Field("storage_tier", "str", False, 32, "", "put: Standard, InfrequentAccess or Archive"),
        Field("metadata", "map", False, 64, "", "put: user metadata, names without opc-meta-"),
        Field("if_match", "str", False, 128, "", "only if the object's etag is this"),
        Field("if_absent", "bool", False, 0, "", "put: only if there is no such object"),
        Field("overwrite", "bool", False, 0, "", "get, pull, list: replace an existing file"),
        Field("part_bytes", "u64", False, 53687091200, "", "put: size of a part; 0: daemon chooses"),
        Field("delimiter", "str", False, 1, "", "list: cut names at it ('/')"),
        Field("start", "str", False, 1024, "", "list: first name"),
        Field("end", "str", False, 1024, "", "list: names before it"),
        Field("fields", "str", False, 128, "", "list: fields to ask for, separated by commas"),
        Field("limit", "u64", False, 0, "", "list: most rows; 0: all"),
        Field("compartment", "str", False, 256, "", "mkbucket, buckets: compartment; else the tenancy"),
        Field("profile", "str", False, 128, "", "profile of ~/.oci/config; else the daemon's default"),
        Field("priority", "u64", False, 9, "", "0 to 9, higher first; 4 if absent"),
        Field("label", "str", False, 128, "", "free text for people"),
        Field("set", "u64", False, 0, "", "id of the set that it joins"),
        Field("after", "u64s", False, 1000, "", "ids of jobs that must be done first"),
        Field("key", "str", False, 128, "", "idempotency key: the same key twice is one job"),
        Field("timeout_ms", "u64", False, 0, "", "fail when not done after this time; 0: never"),
        Field("below", "u64", False, 4096, "", "get: bytes of dest that must exist; directories after are made"),
        Field("version_id", "str", False, 128, "", "get, head, delete: this version of the object"),
        Field("upload_id", "str", False, 511, "", "abort: the upload"),
        Field("offset", "u64", False, 0, "", "get into a pipe: first byte; none beyond the end"),
        Field("length", "u64", False, 0, "", "get into a pipe: most bytes; 0: to the end"),
        Field("in_memory", "bool", False, 0, "", "put, with spool: a sealed memfd may be kept open instead; lost when the daemon ends first"),
        Field("access", "enum", False, 0, "access", "share: what the link allows; else read"),
        Field("prefix", "bool", False, 0, "", "share: any object whose name begins with `object`; else one"),
        Field("listing", "bool", False, 0, "", "share of a prefix that may be read: and its names listed"),
        Field("expires_at", "u64", False, 4102444800000, "", "share: when the link ends; before 2100"),
        Field("share_id", "str", False, 2048, "", "revoke: the link's id"),
        Field("if_none_match", "str", False, 128, "", "watch: until the object has another etag than this"),
        Field("gone", "bool", False, 0, "", "watch: until there is no such object; else until there is"),
        Field("every_ms", "u64", False, 86400000, "", "watch: longest time between looks; 0: 30 s"),
    ),
    "outcome": (
        Field("error", "str", False, 32, "", "failed: name of the error"),
        Field("text", "str", False, 1024, "", "the sentence for people"),
        Field("http_status", "u64", False, 999, "", "status of the service's answer"),
        Field("service_code", "str", False, 64, "", "the service's own error code"),
        Field("request_id", "str", False, 128, "", "opc-request-id of the deciding answer"),
        Field("etag", "str", False, 128, "", "the object's etag"),
        Field("version_id", "str", False, 128, "", "the object's version"),
        Field("verified", "enum", False, 0, "verified", "how the bytes were proven"),
        Field("bytes", "u64", False, 0, "", "bytes of the object"),
        Field("result", "map", False, 128, "", "what was asked for, as names and values; of lists: rows"),
    ),
    "submit": (
        Field("jobs", "list", True, 1000, "job", "the jobs"),
    ),
    "submitted": (
        Field("ids", "u64s", True, 1000, "", "their ids, in the order of the request"),
    ),
    "status_ask": (
        Field("ids", "u64s", False, 1000, "", "these jobs"),
        Field("set", "u64", False, 0, "", "this set, and those of its members that are running"),
        Field("epoch", "u64", False, 0, "", "epoch that `since` belongs to"),
        Field("since", "u64", False, 0, "", "only what changed after this number"),
        Field("wait_ms", "u64", False, 600000, "", "wait so long for a change after `since`"),
        Field("limit", "u64", False, 1000, "", "most jobs in the reply"),
        Field("calm_ms", "u64", False, 600000, "", "with wait_ms: a change that ends none of these jobs is told only after so long"),
    ),
    "status": (
        Field("id", "u64", True, 0, "", "its id"),
        Field("state", "enum", True, 0, "state", "its state"),
        Field("why", "enum", False, 0, "why", "waiting: for what"),
        Field("seq", "u64", False, 0, "", "number of its last change"),
        Field("created_at", "u64", False, 0, "", "when it was taken"),
        Field("ended_at", "u64", False, 0, "", "when it ended"),
        Field("retry_at", "u64", False, 0, "", "waiting for retry or object: when"),
        Field("tries", "u64", False, 0, "", "requests that failed and were repeated"),
        Field("bytes_done", "u64", False, 0, "", "bytes that have arrived"),
        Field("bytes_total", "u64", False, 0, "", "bytes in all, as far as known"),
        Field("parts_done", "u64", False, 0, "", "parts that have arrived"),
        Field("parts_total", "u64", False, 0, "", "parts in all"),
        Field("n_total", "u64", False, 0, "", "set: members"),
        Field("n_done", "u64", False, 0, "", "set: members done"),
        Field("n_failed", "u64", False, 0, "", "set: members failed"),
        Field("n_cancelled", "u64", False, 0, "", "set: members cancelled"),
        Field("sealed", "bool", False, 0, "", "set: no more members will come"),
        Field("held", "str", False, 256, "", "the limit that holds it back, as a sentence"),
        Field("reading", "bool", False, 0, "", "put of a pipe: its end is still to be read; until then the job ends with the daemon"),
        Field("job", "sub", False, 0, "job", "what was submitted"),
        Field("outcome", "sub", False, 0, "outcome", "what came of it"),
    ),
    "statuses": (
        Field("epoch", "u64", True, 0, "", "epoch of `seq`"),
        Field("seq", "u64", True, 0, "", "ask again with `since` set to this"),
        Field("more", "bool", False, 0, "", "there is more: ask again at once"),
        Field("cursor", "u64", False, 0, "", "job.list: where the next page begins"),
        Field("jobs", "list", True, 1000, "status", "the jobs"),
    ),
    "list_ask": (
        Field("state", "enum", False, 0, "state", "only those in this state"),
        Field("set", "u64", False, 0, "", "only members of this set; else no members at all"),
        Field("cursor", "u64", False, 0, "", "from an earlier reply"),
        Field("limit", "u64", False, 1000, "", "most jobs in the reply; 100 if absent"),
    ),
    "jobs_ask": (
        Field("ids", "u64s", True, 1000, "", "their ids"),
    ),
    "ack": (
        Field("id", "u64", True, 0, "", "its id"),
        Field("state", "enum", False, 0, "state", "its state now"),
        Field("error", "sub", False, 0, "error", "why nothing was done"),
    ),
    "acks": (
        Field("jobs", "list", True, 1000, "ack", "one for each id of the request"),
    ),
    "none": (),
    "limit": (
        Field("scope", "enum", True, 0, "scope", "whose transfers"),
        Field("uid", "u64", False, 4294967295, "", "user, client: user id; the caller's own if absent"),
        Field("label", "str", False, 64, "", "client: its label"),
        Field("set", "u64", False, 0, "", "set: its id"),
        Field("bytes_per_s", "u64", False, 1000000000000, "", "bytes of bodies a second, both ways together; absent: as it was"),
        Field("jobs", "u64", False, 1000000, "", "durable jobs at work at a time; those up to 1 MiB are counted apart; absent: as it was"),
        Field("at_work", "u64", False, 0, "", "in answers: large jobs at work"),
        Field("at_work_small", "u64", False, 0, "", "in answers: small jobs at work"),
        Field("configured", "bool", False, 0, "", "in answers: it stands in ocid.conf"),
    ),
    "stats": (
        Field("software", "str", True, 64, "", "name and version of the daemon"),
        Field("pid", "u64", True, 0, "", "process id"),
        Field("uptime_ms", "u64", True, 0, "", "time since the start"),
        Field("clients", "u64", True, 0, "", "connected clients"),
        Field("queued", "u64", True, 0, "", "your jobs that are queued"),
        Field("running", "u64", True, 0, "", "your jobs that are running"),
        Field("waiting", "u64", True, 0, "", "your jobs that are waiting"),
        Field("paused", "u64", True, 0, "", "your jobs that are paused"),
        Field("requests", "u64", True, 0, "", "requests sent to the service since the start"),
        Field("retries", "u64", True, 0, "", "of these, repeated ones"),
        Field("bytes_up", "u64", True, 0, "", "bytes sent since the start"),
        Field("bytes_down", "u64", True, 0, "", "bytes received since the start"),
        Field("in_flight", "u64", True, 0, "", "requests in flight"),
        Field("in_flight_limit", "u64", True, 0, "", "as many as there may be at present"),
        Field("profiles", "map", False, 64, "", "profile names and the state of their keys"),
        Field("config", "str", False, 4096, "", "path of the configuration that was read; else there is none"),
        Field("state_dir", "str", False, 4096, "", "directory of the queue"),
        Field("descriptors", "u64", False, 0, "", "descriptors that the daemon may have open"),
        Field("limits", "list", False, 256, "limit", "limits that hold for you, and of all"),
    ),
    "unlock": (
        Field("profile", "str", False, 128, "", "profile; else the daemon's default"),
        Field("fd", "u64", True, 63, "", "place of the pipe that gives the pass phrase"),
        Field("ttl_ms", "u64", False, 0, "", "lock again after this time; 0: never"),
    ),
    "lock": (
        Field("profile", "str", False, 128, "", "profile; else all"),
    ),
    "unlocked": (
        Field("profiles", "map", True, 64, "", "profile names and the state of their keys"),
    ),
    "row": (
        Field("name", "str", False, 1024, "", "object or bucket name"),
        Field("prefix", "str", False, 1024, "", "instead of name: a common prefix"),
        Field("size", "u64", False, 0, "", "bytes"),
        Field("etag", "str", False, 128, "", "etag"),
        Field("md5", "str", False, 128, "", "MD5 in base64"),
        Field("time_created", "str", False, 64, "", "RFC 3339"),
        Field("time_modified", "str", False, 64, "", "RFC 3339"),
        Field("storage_tier", "str", False, 32, "", "storage tier"),
        Field("archival_state", "str", False, 32, "", "archival state"),
        Field("upload_id", "str", False, 511, "", "uploads: its id; name is the object's"),
        Field("parts", "u64", False, 0, "", "uploads: how many parts have arrived; size is their sum"),
        Field("job", "u64", False, 0, "", "uploads, shares: the job whose it is; absent: none of yours"),
        Field("share_id", "str", False, 2048, "", "shares: id of the link; name or prefix is what it opens"),
        Field("share_name", "str", False, 512, "", "shares: what the link is called at the service"),
        Field("access", "str", False, 32, "", "shares: read, write or read_write; else as the service says"),
        Field("listing", "bool", False, 0, "", "shares: names may be listed"),
        Field("time_expires", "str", False, 64, "", "shares: when the link ends, RFC 3339"),
        Field("end", "bool", False, 0, "", "the last row: nothing is missing before it"),
    ),
}

METHODS: dict[str, Method] = {
    "hello": Method("hello", "welcome", 1, "opens a connection; must be first"),
    "job.submit": Method("submit", "submitted", 1, "takes jobs; the ids are durable"),
    "job.status": Method("status_ask", "statuses", 1, "follows jobs; may wait for a change"),
    "job.list": Method("list_ask", "statuses", 1, "a table of jobs, page by page"),
    "job.cancel": Method("jobs_ask", "acks", 1, "ends jobs"),
    "job.pause": Method("jobs_ask", "acks", 1, "stops jobs until they are resumed"),
    "job.resume": Method("jobs_ask", "acks", 1, "undoes pause; a waiting job tries at once"),
    "job.retry": Method("jobs_ask", "acks", 1, "queues failed or cancelled jobs again"),
    "job.seal": Method("jobs_ask", "acks", 1, "no more members will be added to these sets"),
    "daemon.stats": Method("none", "stats", 1, "the daemon at a glance"),
    "daemon.reload": Method("none", "none", 1, "reads the configuration again"),
    "daemon.limit": Method("limit", "stats", 1, "sets or lifts a limit"),
    "vault.unlock": Method("unlock", "unlocked", 1, "opens an encrypted key"),
    "vault.lock": Method("lock", "unlocked", 1, "wipes keys from the signer"),
}

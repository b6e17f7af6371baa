# SPDX-License-Identifier: Apache-2.0
"""routes.py - which operation a raw target asks for. Pure; fills in a wire.Call.

Paths are cut before they are decoded, so an encoded slash never separates; the rest of an
object path is the name, however many literal slashes it has.
"""

from .wire import ServiceError, decode_segment, invalid, parse_query

NAMESPACE = {"GET": "GetNamespaceMetadata", "PUT": "UpdateNamespaceMetadata"}
BUCKETS = {"GET": "ListBuckets", "POST": "CreateBucket"}
BUCKET = {"GET": "GetBucket", "HEAD": "HeadBucket", "POST": "UpdateBucket",
          "DELETE": "DeleteBucket"}
OBJECT = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject",
          "DELETE": "DeleteObject"}
UPLOADS = {"GET": "ListMultipartUploads", "POST": "CreateMultipartUpload"}
UPLOAD = {"GET": "ListMultipartUploadParts", "PUT": "UploadPart",
          "POST": "CommitMultipartUpload", "DELETE": "AbortMultipartUpload"}
PARS = {"GET": "ListPreauthenticatedRequests", "POST": "CreatePreauthenticatedRequest"}
PAR = {"GET": "GetPreauthenticatedRequest", "DELETE": "DeletePreauthenticatedRequest"}
ACTIONS = {"renameObject": "RenameObject", "copyObject": "CopyObject",
           "restoreObjects": "RestoreObjects",
           "updateObjectStorageTier": "UpdateObjectStorageTier",
           "batchDeleteObjects": "BatchDeleteObjects",
           "makeBucketWritable": "MakeBucketWritable", "reencrypt": "ReencryptBucket"}

# In a bucket: segment -> (operations without a further segment, operations with one).
IN_BUCKET = {"o": ({"GET": "ListObjects"}, OBJECT), "u": (UPLOADS, UPLOAD), "p": (PARS, PAR),
             "objectversions": ({"GET": "ListObjectVersions"}, {})}
BY_TOKEN = {"o": ({"GET": "ListObjects"}, {k: OBJECT[k] for k in ("GET", "HEAD", "PUT")}),
            "u": ({}, UPLOAD)}

AUTH = {b"/v1/x509": {"POST": "FederateInstance"},
        b"/v1/authentication/refresh": {"POST": "RefreshSession"}}

# Bodies that stream and are not signed.
STREAMED = frozenset({"PutObject", "UploadPart"})


def no_such_route():
    return ServiceError(404, "NotFound", "No such operation")


def _pick(table, method):
    if not table:
        raise no_such_route()
    if method not in table:
        raise ServiceError(405, "MethodNotAllowed", f"The method {method} is not allowed here")
    return table[method]


def route(call):
    """Sets op, namespace, bucket, object, item, token and query."""
    call.query = parse_query(call.raw_query)
    path = call.path
    if path.startswith(b"/p/"):
        token, slash, rest = path[3:].partition(b"/")
        call.token = decode_segment(token)
        _storage(call, slash + rest, BY_TOKEN)
    elif path.startswith(b"/n/") or path == b"/n":
        _storage(call, path, IN_BUCKET)
    elif path.startswith(b"/workRequests"):
        _work_request(call, path)
    elif path.startswith(b"/opc/v2/"):
        call.object = decode_segment(path[len(b"/opc/v2/"):])
        call.op = _pick({"GET": "GetMetadata"}, call.method)
    elif path in AUTH:
        call.op = _pick(AUTH[path], call.method)
    elif path == b"/20160918/regions":
        call.op = _pick({"GET": "ListRegions"}, call.method)
    elif path.startswith(b"/20160918/users/"):
        call.item = decode_segment(path[len(b"/20160918/users/"):])
        call.op = _pick({"GET": "GetUser"}, call.method)
    else:
        raise no_such_route()


def _storage(call, path, in_bucket):
    """/n[/{n}[/b[/{b}[/KIND[/REST]]]]]; a slash at the end of the first four is ignored."""
    parts = path.split(b"/", 6)[1:]
    if parts[0] != b"n" or (len(parts) > 2 and parts[2] not in (b"b", b"")):
        raise no_such_route()
    while len(parts) < 6:
        parts.append(b"")
    _, namespace, _, bucket, kind, rest = parts
    call.namespace = decode_segment(namespace) or None
    call.bucket = decode_segment(bucket) or None
    if not kind:
        call.op = _pick(_outside(parts, call), call.method)
    elif kind == b"actions":
        _action(call, rest)
    else:
        without, with_rest = in_bucket.get(kind.decode("latin-1"), ({}, {}))
        call.op = _pick(with_rest if rest else without, call.method)
        _rest(call, kind, rest)


def _outside(parts, call):
    if call.token:
        return {}
    if not parts[1]:
        return {"GET": "GetNamespace"}
    if not parts[2]:
        return NAMESPACE
    return BUCKET if parts[3] else BUCKETS


def _rest(call, kind, rest):
    if kind == b"o" and rest:
        call.object = decode_segment(rest)
    elif kind == b"p" and rest:
        call.item = decode_segment(rest)
    elif kind == b"u" and rest:
        _upload(call, rest)


def _upload(call, rest):
    """Object and upload id; by token they are /u/OBJECT/id/UPLOAD/[NUMBER] and an
    UPLOAD without number is asked to list, commit or abort."""
    if not call.token:
        call.object = decode_segment(rest)
        call.item = call.query.get("uploadId")
        return
    name, found, tail = rest.rpartition(b"/id/")
    upload, _, number = tail.partition(b"/")
    if not found:
        raise no_such_route()
    call.object, call.item = decode_segment(name), decode_segment(upload)
    if number:
        call.query["uploadPartNum"] = decode_segment(number)


def _action(call, rest):
    name, slash, tail = rest.partition(b"/")
    if call.token or call.method != "POST":
        raise no_such_route() if call.token else invalid("Actions are POSTed")
    if name == b"reencrypt" and slash:
        call.op, call.object = "ReencryptObject", decode_segment(tail)
        return
    call.op = ACTIONS.get(name.decode("latin-1"))
    if call.op is None or slash:
        call.op = "Unknown"
        raise no_such_route()


def _work_request(call, path):
    parts = path.split(b"/")[2:]
    call.item = decode_segment(parts[0]) if parts else None
    tables = {0: {"GET": "ListWorkRequests"},
              1: {"GET": "GetWorkRequest", "DELETE": "CancelWorkRequest"}}
    if len(parts) == 2 and parts[1] in (b"errors", b"logs"):
        table = {"GET": "ListWorkRequestErrors" if parts[1] == b"errors"
                 else "ListWorkRequestLogs"}
    else:
        table = tables.get(len(parts), {})
    call.op = _pick(table, call.method)

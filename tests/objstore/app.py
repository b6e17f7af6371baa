# SPDX-License-Identifier: Apache-2.0
"""app.py - the test store itself: one request from the socket to its answer.

Order: route, log, faults at the start, signature, body (unless it streams), operation,
faults before the answer, answer. All on one event loop, which is the only writer.
"""

import asyncio
import base64
import hashlib
import logging
import os
import secrets
import signal
import ssl

from aiohttp import web

from . import (actions, auth, buckets, control, identity, listing, multipart, objects, par,
               principals, transfer, work)
from .blobs import Blobs
from .catalog import Catalog
from .faults import Dropped, Rules
from .journal import Journal
from .routes import STREAMED, route
from .synthetic import FILLER
from .tokens import Issuer
from .wire import Call, Clock, ServiceError

log = logging.getLogger("objstore")

OPERATIONS = {name: operation
              for module in (buckets, objects, listing, multipart, par, actions, work, identity,
                            principals)
              for name, operation in module.OPERATIONS.items()}
PUBLIC = {"GetObject": ("ObjectRead", "ObjectReadWithoutList"),
          "HeadObject": ("ObjectRead", "ObjectReadWithoutList"),
          "ListObjects": ("ObjectRead",)}
SETTINGS = {"max_body_bytes": 50 << 30, "min_part_bytes": 0, "restore_seconds": 3600,
            "no_crc32c": False, "token_seconds": 3600}
EXPOSED = ("accept-ranges,content-length,content-md5,content-range,content-type,date,etag,"
           "last-modified,opc-client-request-id,opc-request-id,version-id")
EVERYWHERE = {"x-api-id": "native", "access-control-allow-origin": "*",
              "access-control-allow-credentials": "true",
              "access-control-allow-methods": "POST,PUT,GET,HEAD,DELETE,OPTIONS",
              "access-control-expose-headers": EXPOSED}
HEADER_MAX = 64 * 1024


class Service:
    """The store's state; every operation gets it as `store`."""

    def __init__(self, folder, namespace, log_limit=200_000, scheme="http"):
        os.makedirs(folder, exist_ok=True)
        self.namespace, self.scheme = namespace, scheme
        self.compartment = "ocid1.compartment.oc1..test"
        self.loop = asyncio.get_running_loop()
        self.catalog = Catalog(folder)
        self.blobs = Blobs(os.path.join(folder, "blobs"), self.catalog)
        self.clock, self.rules, self.journal = Clock(), Rules(), Journal(log_limit)
        self.settings = {**SETTINGS, **self.catalog.facts("setting")}
        self.keys = {key: auth.load_key(pem) for key, pem in self.catalog.facts("key").items()}
        self.issuer, self.instance = Issuer(self.catalog), None
        self._filler = None
        self._tasks = set()

    def add_key(self, key_id, pem):
        self.keys[key_id] = auth.load_key(pem)
        self.catalog.put_fact("key", key_id, pem)

    def drop_key(self, key_id):
        self.keys.pop(key_id, None)
        self.catalog.drop_fact("key", key_id)

    def now(self, call=None):
        """The store's time; a `clock` fault moves it for one request."""
        offset = call.plan.arg("clock", "offset", 0) if call and call.plan else 0
        return self.clock.now() + offset

    def background(self, task):
        """Keeps a task until it is done or the store closes."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def filler(self, size):
        """Extents of `size` filler bytes, all of them in one blob."""
        if self._filler is None:
            self._filler, file = self.blobs.create()
            with file:
                file.write(FILLER)
        whole, rest = divmod(size, len(FILLER))
        return [[self._filler, len(FILLER)]] * whole + ([[self._filler, rest]] if rest else [])

    def check_late_digest(self, call, body):
        """A streamed body whose sender chose to sign its SHA-256 after all."""
        if call.digest is None:
            return
        digest = hashlib.sha256()
        for block in self.blobs.blocks(body.extents, 0, body.size):
            digest.update(block)
        if base64.b64encode(digest.digest()).decode() != call.digest:
            raise auth.refused(auth.BAD_SIGNATURE)

    def close(self):
        for task in self._tasks:
            task.cancel()
        if self._filler:
            self.blobs.remove(self._filler)
        self.catalog.close()


def authenticate(store, call):
    """By token, by public bucket or by signature; otherwise 401. OPEN ones judge by themselves."""
    if call.op in principals.OPEN:
        call.auth = "none"
        return
    if call.token is not None:
        call.auth = "par"
        par.authorize(store, call)
        return
    bucket = store.catalog.buckets.get(call.bucket)
    if ("authorization" not in call.headers and bucket
            and bucket["publicAccessType"] in PUBLIC.get(call.op, ())):
        call.auth = "public"
        return
    keys = principals.Keyring(store, store.now(call))
    call.digest = auth.verify(keys, call.method, call.target, call.headers, keys.now,
                              body_exempt=call.op in STREAMED)
    call.auth = "signature"
    call.claims = keys.who
    call.entry.token = keys.who and keys.who["jti"]
    key_id = auth.parse_authorization(call.headers["authorization"][0])["keyId"].split("/")
    call.user = (keys.who["sub"] if keys.who else key_id[1] if len(key_id) == 3
                 else key_id[0][:40])


async def operate(store, call):
    """The answer of the operation, or a ServiceError."""
    if call.plan:
        await call.plan.at(call, "start")
    call.entry.auth = "refused"
    authenticate(store, call)
    call.entry.auth = call.auth
    if (call.header("expect") or "100-continue").lower() != "100-continue":
        raise ServiceError(417, "ExpectationFailed", "Only Expect: 100-continue is supported")
    if call.op not in STREAMED:
        call.body = await transfer.read_small(call)
        auth.check_body(call.digest, call.body)
    if call.plan and any(rule.at == "read" for rule in call.plan.rules):
        await transfer.drop_body(call)
        await call.plan.at(call, "read")
    operation = (call.token and par.BY_TOKEN.get(call.op)) or OPERATIONS[call.op]
    answer = await operation(store, call)
    if call.plan:
        await call.plan.at(call, "answer")
    return answer


def complete(call, answer):
    """Headers that every answer has."""
    headers = answer.headers
    headers.update(EVERYWHERE)
    headers["opc-request-id"] = f"tst-1:{secrets.token_urlsafe(24)}"
    client = call.headers.get("opc-client-request-id")
    if client:
        headers["opc-client-request-id"] = client[0]


async def answer_for(store, call, trouble):
    """What to answer, errors included; never raises a ServiceError."""
    try:
        if trouble:
            if call.plan:
                await call.plan.at(call, "start")
            raise trouble
        return await operate(store, call), None
    except ServiceError as error:
        return error.answer(), error.code
    except (ConnectionError, Dropped):
        raise
    except Exception as error:
        log.exception("%s %s failed", call.method, call.target)
        return ServiceError(500, "InternalServerError", repr(error)).answer(), "InternalServerError"


async def handle(store, request):
    """One request."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    call, trouble = Call(request), None
    if call.path.startswith(b"/_ctl/"):
        return await control.handle(store, call, peer)
    try:
        route(call)
    except ServiceError as error:
        trouble = error
    entry = call.entry = store.journal.arrive(call, "%s:%s" % peer[:2] if peer else "")
    call.plan = store.rules.plan(call) if store.rules.rules else None
    entry.faults = [rule.do for rule in call.plan.rules] if call.plan else ()
    status = code = None
    try:
        answer, code = await answer_for(store, call, trouble)
        complete(call, answer)
        entry.object = call.object or entry.object
        response = await transfer.deliver(store, call, answer)
        status = answer.status
        return response
    except Dropped:
        return web.Response()
    finally:
        store.journal.over(entry, status, code)


class Server:
    """The listening socket around a Service."""

    def __init__(self, service, tls=None):
        self.service, self.tls = service, tls
        self.http = web.Server(lambda request: handle(service, request), access_log=None,
                               handler_cancellation=True, auto_decompress=False,
                               max_line_size=HEADER_MAX, max_field_size=HEADER_MAX,
                               lingering_time=5, read_bufsize=256 * 1024)
        self.listener = None

    async def start(self, host, port):
        """The port it listens on."""
        self.listener = await self.service.loop.create_server(
            self.http, host, port, ssl=self.tls, backlog=1024)
        return self.listener.sockets[0].getsockname()[1]

    async def stop(self):
        self.listener.close()
        self.service.rules.clear()
        await self.http.shutdown(timeout=1)
        self.service.close()


def tls_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def run(options, prepare):
    """Serves until SIGTERM or SIGINT; prepare(service) fills it before it listens."""
    tls = tls_context(options.tls_cert, options.tls_key) if options.tls_cert else None
    service = Service(options.data, options.namespace, options.log_limit,
                      "https" if tls else "http")
    prepare(service)
    server = Server(service, tls)
    host, _, port = options.listen.rpartition(":")
    port = await server.start(host.strip("[]") or "127.0.0.1", int(port))
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        service.loop.add_signal_handler(number, end.set)
    print(f"objstore ready {service.scheme}://{host or '127.0.0.1'}:{port}", flush=True)
    await end.wait()
    await server.stop()

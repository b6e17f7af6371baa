# SPDX-License-Identifier: Apache-2.0
"""transfer.py - bodies between the socket and the disk, with any faults in between.

receive() streams a request's body into a blob while hashing it; deliver() sends an answer.
"""

import io
from dataclasses import dataclass

from aiohttp import web

from .blobs import ROW_MAX
from .checksum import Digests
from .wire import JSON_BODY_MAX, ServiceError, http_date

SMALL = 128 * 1024
STEP = 16 * 1024
NO_BODY = frozenset({204, 304})


@dataclass
class Received:
    """A body on disk and its base64 checksums by name."""

    blob: str
    size: int
    sums: dict
    extents: list


def require_length(call, ceiling):
    """The declared length; 411 without one, 413 above the ceiling."""
    if call.header("transfer-encoding") or call.length is None:
        raise ServiceError(411, "ContentLengthRequired", "The Content-Length header is required")
    if call.length > ceiling:
        raise ServiceError(413, "RequestEntityTooLarge", f"The body of {call.length} bytes is "
                           f"larger than the limit of {ceiling} bytes")
    return call.length


async def body_blocks(call):
    """The request's body, after the 100 Continue it may be waiting for."""
    _begin(call)
    stream, plan = call.request.content, call.plan
    while True:
        data = await stream.readany()
        if not data:
            break
        for block in _steps(data, STEP) if plan else (data,):
            offset = call.entry.received
            if plan:
                block = await plan.body(call, block, offset)
            call.entry.received += len(block)
            if plan:
                await plan.passing(call, call.entry.received)
            yield block
    call.body_done = True


def _begin(call):
    call.body_started = True
    if (call.header("expect") or "").lower() != "100-continue":
        return
    if call.plan and call.plan.find("no_continue"):
        return
    if call.request.transport is not None:
        call.request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _steps(data, size):
    return (data[i:i + size] for i in range(0, len(data), size))


async def read_small(call):
    """A whole body that must be small, such as JSON."""
    if call.header("transfer-encoding") or call.length:
        require_length(call, JSON_BODY_MAX)
    blocks = [block async for block in body_blocks(call)]
    return b"".join(blocks)


async def drop_body(call):
    """Reads what is left of the body and forgets it."""
    if not call.body_started:
        async for _ in body_blocks(call):
            pass


async def receive(blobs, call, *algorithms):
    """Streams the body into a new blob; on any trouble the blob is gone again."""
    digests = Digests(*algorithms)
    if call.length <= ROW_MAX:
        data = b"".join([block async for block in body_blocks(call)])
        digests.update(data)
        blob, size = blobs.create_row(data), len(data)
    else:
        blob, size = await _receive_file(blobs, call, digests)
    if call.plan and call.plan.arg("corrupt", "where") == "stored" and size:
        blobs.flip(blob, call.plan.arg("corrupt", "offset", 0))
    return Received(blob, size, digests.results(), [[blob, size]])


async def _receive_file(blobs, call, digests):
    blob, file = blobs.create()
    size = 0
    try:
        with file:
            async for block in body_blocks(call):
                digests.update(block)
                file.write(block)
                size += len(block)
    except BaseException:
        blobs.remove(blob)
        raise
    return blob, size


async def deliver(store, call, answer):
    """Sends an answer; gives back the response object that the HTTP server expects."""
    headers = answer.headers
    headers["date"] = http_date(store.now(call))
    plan = call.plan
    if plan:
        plan.bend_headers(headers)
    length = answer.length if answer.extents is not None else len(answer.body)
    if answer.status not in NO_BODY:
        headers.setdefault("content-length", str(length))
    if call.method == "HEAD" or answer.status in NO_BODY:
        return _closing(call, web.Response(status=answer.status, headers=headers))
    if plan and plan.shapes_body(call, length):
        return await _send_with_faults(store, call, answer)
    call.entry.sent = length
    if answer.extents is None:
        return _closing(call, web.Response(status=answer.status, headers=headers,
                                           body=answer.body))
    if length <= SMALL:
        body = b"".join(store.blobs.blocks(answer.extents, answer.start, length))
        return web.Response(status=answer.status, headers=headers, body=body)
    return await _send_files(store, call, answer)


def _closing(call, response):
    """An answer given before the body was read ends the connection: what is left of the body
    would be taken for a request."""
    if not call.body_done and (call.header("transfer-encoding") or call.length):
        response.force_close()
    return response


async def _send_files(store, call, answer):
    """From file to socket by the kernel, where it can."""
    call.entry.sent = 0
    request = call.request
    response = _closing(call, web.StreamResponse(status=answer.status, headers=answer.headers))
    with store.blobs.reading(answer.extents):
        await response.prepare(request)
        for blob, offset, count in store.blobs.pieces(answer.extents, answer.start,
                                                      answer.length):
            with store.blobs.open(blob) as file:
                if request.transport is None:
                    raise ConnectionResetError("connection lost")
                if isinstance(file, io.BytesIO):
                    await response.write(file.getbuffer()[offset:offset + count])
                else:
                    await store.loop.sendfile(request.transport, file, offset, count)
            call.entry.sent += count
        await response.write_eof()
    return response


async def _send_with_faults(store, call, answer):
    response = _closing(call, web.StreamResponse(status=answer.status, headers=answer.headers))
    with store.blobs.reading(answer.extents or []):
        await response.prepare(call.request)
        call.request.transport.set_write_buffer_limits(0)
        await _trickle(call, response, _answer_blocks(store, answer))
        await response.write_eof()
        if call.plan.find("close"):
            call.request.transport.close()
    return response


def _answer_blocks(store, answer):
    if answer.extents is None:
        return _steps(answer.body, STEP)
    return store.blobs.blocks(answer.extents, answer.start, answer.length, STEP)


async def _trickle(call, response, blocks):
    plan, entry = call.plan, call.entry
    if plan.cut(call) == 0:
        await plan.passing(call, 0)
    for block in blocks:
        block = await plan.body(call, block, entry.sent)
        while block:
            cut = plan.cut(call)
            room = len(block) if cut is None or cut <= entry.sent else cut - entry.sent
            await response.write(block[:room])
            entry.sent += len(block[:room])
            block = block[room:]
            await plan.passing(call, entry.sent)

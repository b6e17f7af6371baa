# SPDX-License-Identifier: Apache-2.0
"""func.py - a function that has no rights: it is given a link to read and a link to write.

Nothing but the standard library. Asked with {"input": URL, "output": URL}, links of pre-authenticated
requests; the input are numbers (64-bit floats), the output becomes their summary as JSON. The same
call may come twice: it writes the same again. Start at handler().
"""

import array
import base64
import hashlib
import http.client
import json
import math
import time
import urllib.error
import urllib.request

TIMEOUT_S = 20
PAUSES_S = (0.2, 1, 0)


def handler(ctx, data=None):
    asked = json.loads(data.getvalue())
    numbers = array.array("d", follow(asked["input"]))
    found = {"n": len(numbers), "sum": math.fsum(numbers),
             "min": min(numbers, default=None), "max": max(numbers, default=None)}
    follow(asked["output"], json.dumps(found).encode())
    return json.dumps(found)


def follow(link, body=None):
    """What the link reads; with a body what it is told to write. Tried again where that may help."""
    request = urllib.request.Request(link, data=body, method="GET" if body is None else "PUT")
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.add_header("Content-MD5", base64.b64encode(hashlib.md5(body).digest()).decode())
    for pause in PAUSES_S:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    raise PermissionError(f"the link to {purpose(body)} has expired, was revoked or is "
                                          "for something else: share again") from None
                if not pause or error.code != 429 and error.code < 500:
                    raise
        except (OSError, http.client.HTTPException):
            if not pause:
                raise
        time.sleep(pause)


def purpose(body):
    return "read" if body is None else "write"

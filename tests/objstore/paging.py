# SPDX-License-Identifier: Apache-2.0
"""paging.py - `limit`, `page` and opc-next-page, for every list but ListObjects. Pure."""

import base64
import binascii

from .wire import Answer, invalid

PAGE_MAX = 1000


def limit_of(call):
    """1 to 1000; a `short_pages` fault lowers it."""
    text = call.query.get("limit", str(PAGE_MAX))
    if not text.isdigit() or not 1 <= int(text) <= PAGE_MAX:
        raise invalid(f"The limit '{text}' is not between 1 and {PAGE_MAX}", "InvalidLimit")
    ceiling = call.plan.arg("short_pages", "limit") if call.plan else None
    return min(int(text), ceiling or PAGE_MAX)


def page_of(call, default=""):
    """Where the page begins, as put into token()."""
    text = call.query.get("page")
    if not text:
        return default
    try:
        return base64.urlsafe_b64decode(text.encode()).decode()
    except (binascii.Error, ValueError):
        raise invalid(f"The page '{text}' is not valid", "InvalidPage") from None


def number_of(call):
    """page_of() where it is a number."""
    text = page_of(call, "0")
    if not text.isdigit():
        raise invalid("The page is not valid", "InvalidPage")
    return int(text)


def token(position):
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def page_answer(rows, limit, show, wrap=None):
    """`rows`: (position, value), one more than `limit` if there are more."""
    shown = rows[:limit]
    headers = {"opc-next-page": token(shown[-1][0])} if len(rows) > limit else {}
    items = [show(value) for _, value in shown]
    return Answer.json(wrap(items) if wrap else items, headers=headers)

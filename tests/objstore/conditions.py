# SPDX-License-Identifier: Apache-2.0
"""conditions.py - if-match and if-none-match, for reads and for writes. Pure."""

from .wire import ServiceError, invalid


def _single(value, name):
    if value is not None and "," in value:
        raise invalid(f"The {name} header names more than one entity tag", "NoCondMultEntities")
    return value


def match_failed(given, current):
    return ServiceError(412, "IfMatchFailed", f"The If-Match header is '{given}' but the current "
                        f"entity tag is '{current}'" if current else
                        f"The If-Match header is '{given}' but there is no current entity")


def none_match_failed(current):
    return ServiceError(412, "IfNoneMatchFailed", "The If-None-Match header is '*' but there is "
                        f"an entity with the tag '{current}'")


class WriteCondition:
    """Replace only this (`if_match`), create only (`create_only`), or neither."""

    def __init__(self, if_match=None, if_none_match=None):
        self.if_match = _single(if_match, "If-Match")
        if if_match and if_none_match:
            raise invalid("If-Match and If-None-Match exclude each other",
                          "InvalidConditionalHeaders")
        if if_none_match not in (None, "*"):
            raise invalid("If-None-Match may only be '*' here", "IfNoneMatchDisallowed")
        if if_match == "*":
            raise invalid("If-Match may not be '*'", "IfMatchDisallowed")
        self.create_only = if_none_match == "*"

    @classmethod
    def of(cls, call):
        return cls(call.header("if-match"), call.header("if-none-match"))

    def check(self, current):
        """`current`: the document there is now, or None."""
        etag = current["etag"] if current else None
        if self.if_match and self.if_match != etag:
            raise match_failed(self.if_match, etag)
        if self.create_only and current:
            raise none_match_failed(etag)


def check_read(call, etag):
    """412 if another entity is wanted; True if the caller has this one already (304)."""
    wanted = _single(call.header("if-match"), "If-Match")
    known = _single(call.header("if-none-match"), "If-None-Match")
    if known == "*":
        raise invalid("If-None-Match may not be '*' here", "IfNoneMatchDisallowed")
    if wanted is not None and wanted not in (etag, "*"):
        raise match_failed(wanted, etag)
    return known is not None and known == etag

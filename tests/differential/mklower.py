# SPDX-License-Identifier: Apache-2.0
"""Writes daemon/signer/lower_tables.h from what str.lower() does: python3 mklower.py > FILE."""

import sys
import unicodedata

SIGMA = "\u03a3"
ALL = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def ranges(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def lower_rows():
    """(first, last, step, delta) of the one-to-one mappings."""
    rows = []
    for ch in ALL:
        low = ch.lower()
        if low == ch or ch == SIGMA:
            continue
        if len(low) != 1:
            assert ch == "\u0130" and low == "i\u0307", ch
            continue
        c, delta = ord(ch), ord(low) - ord(ch)
        if rows and rows[-1][3] == delta:
            first, last, step, _ = rows[-1]
            if c - last in (1, 2) and (first == last or c - last == step):
                rows[-1][1], rows[-1][2] = c, c - last
                continue
        rows.append([c, c, 1, delta])
    return rows


def final(text):
    return (text + SIGMA).lower().endswith("\u03c2")


cased = [ord(c) for c in ALL if final(c)]
ignorable = [ord(c) for c in ALL if final("A" + c) and not final(c)]

print("/* SPDX-License-Identifier: Apache-2.0")
print(" *")
print(" * lower_tables.h - letters, as Python's str.lower() knows them: one-to-one mappings, letters with")
print(" * case, marks that the final sigma looks through. Written by tests/differential/mklower.py from")
print(f" * Unicode {unicodedata.unidata_version}.")
print(" */")
print("/* clang-format off */")
print("static const struct { uint32_t first, last; uint8_t step; int32_t delta; } lower_rows[] = {")
for row in lower_rows():
    print("    {0x%x, 0x%x, %d, %d}," % tuple(row))
print("};")
for name, points in (("cased_rows", cased), ("ignorable_rows", ignorable)):
    print("static const struct { uint32_t first, last; } %s[] = {" % name)
    row = []
    for first, last in ranges(points):
        row.append("{0x%x, 0x%x}," % (first, last))
        if len(row) == 4:
            print("    " + " ".join(row))
            row = []
    if row:
        print("    " + " ".join(row))
    print("};")
print("/* clang-format on */")

# SPDX-License-Identifier: Apache-2.0
"""Our reader of ~/.oci/config against Python's ConfigParser, on thousands of awkward files.

Both must accept the same files, refuse the same files, and find the same values. Run by pytest, or
as a program with the path of dump-profile. OCID_SEED, OCID_FILES and OCID_BUILD are settable.
"""

import configparser
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLANKS = ["", "", "", " ", "  ", "\t", " \t", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0",
          "\u1680", "\u2003", "\u2028", "\u202f", "\u3000", "\u200b", "\ufeff"]
ENDS = ["\n"] * 12 + ["\r\n"] * 4 + ["\r"] * 2 + ["\n\n", "\n\r", "\r\r\n", "\n \n", "\n\t\n\n"]
NAMES = ["DEFAULT", "default", "Default", "ADMIN", "admin", "a", "b", "x]y", "]", "[", " DEFAULT",
         "DEFAULT ", " x ", "é", "\u0130", "a=b", "a:b", "#a", ";", "\x00", "日本"]
KEYS = ["user", "User", "USER", "tenancy", "fingerprint", "key_file", "region", "pass_phrase", "k",
        "K", "\u212a", "ſ", "S", "s", "İ", "i̇", "I", "ß", "ẞ", "ΣΣ", "σς", "ΑΣ", "ας", "ασ",
        "ΑΣ.", "Α.Σ", "Σ", "Ⱥ", "ⱥ", "Ǆ", "ǅ", "ǆ", "ʰΣ", "a\u0301Σ", "A\u0345Σ", "Å", "å",
        "\u212b", "\U00010400", "\U00010428", "\U0001e900", "two words", "[a", "a]", "[", "x y",
        "\x00", "k\x00", "'q'", '"', "\u1c89", "\u2c2f", "Ω", "\u2126", "\u03f4", "Ꭰ", "ꭰ"]
VALUES = ["", "v", "1", "a=b", "a:b", "=", ":", "==", "a ; b", "a # b", "; x", "# x", "'q'", '"q"',
          "%(x)s", "%", "$HOME", "~/.oci/k.pem", "[x]", "[x", "x]", "ocid1.user.oc1..aaaa", "é",
          "日本", "\x00", "a\x00b", "a\x0bb", "a\x85b", "a\u2028b", "x" * 300, "y" * 5000, "\\n",
          "correct horse; battery #1", "\ufeff", "\U0001f600", "\x7f", "\x1b[31m"]
SIGNS = ["=", "=", "=", "=", ":", " = ", " : ", "==", ":=", "=:", "\t=\t", "\xa0=\xa0", " ", ""]
RAW = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80", b"\x80", b"\xc3"]
ORDINARY = ["user", "tenancy", "fingerprint", "key_file", "region", "pass_phrase", "endpoint"]


def any_char(rnd):
    c = rnd.choice([rnd.randrange(0x20, 0x7F), rnd.randrange(0x180, 0x600),
                    rnd.randrange(0x1C80, 0x2200), rnd.randrange(0x2C00, 0x2E00),
                    rnd.randrange(0xA600, 0xAC00), rnd.randrange(0x10400, 0x11000)])
    return chr(c)


def key(rnd, used):
    roll = rnd.random()
    if roll < 0.15:
        return "".join(any_char(rnd) for _ in range(rnd.randrange(1, 4)))
    if roll < 0.6:
        return rnd.choice(ORDINARY) + (str(rnd.randrange(50)) if roll < 0.55 else "")
    if used and roll < 0.63:
        return rnd.choice([str.upper, str.lower, str.title, str.swapcase])(rnd.choice(used))
    return rnd.choice(KEYS)


def line(rnd, used, wild):
    roll = rnd.random()
    pad = rnd.choice(BLANKS) if rnd.random() < wild else ""
    if roll < 0.10:
        name = rnd.choice(NAMES) if rnd.random() < 0.5 else f"P{rnd.randrange(100)}"
        used.clear()
        return f"{pad}[{name}]" + (rnd.choice(VALUES) if rnd.random() < wild else "")
    if roll < 0.18:
        return pad + rnd.choice("#;") + rnd.choice(VALUES)
    if roll < 0.28:
        return rnd.choice(BLANKS)
    if roll < 0.42:
        return rnd.choice([" ", "  ", "\t", "    ", "\u3000", "\x1c"]) + pad + rnd.choice(VALUES)
    if rnd.random() < wild / 8:
        return pad + rnd.choice(VALUES + ["[]", "[]]", "[", "]", "[a][b]", "=", ":", "no sign"])
    name = key(rnd, used)
    used.append(name)
    sign = rnd.choice(SIGNS) if rnd.random() < wild else "="
    return pad + name + sign + rnd.choice(VALUES) + (rnd.choice(BLANKS) if wild > 0.2 else "")


def make_file(rnd):
    """Half of them are mostly right, so that values are compared, not only refusals."""
    wild = rnd.choice([0.02, 0.02, 0.1, 0.5])
    used, parts = [], []
    if rnd.random() < 0.9:
        parts.append("[" + rnd.choice(["DEFAULT", "a", "b"]) + "]\n")
    end = rnd.choice(ENDS)
    for _ in range(rnd.choice([0, 1, 3, 6, 10, 20])):
        parts.append(line(rnd, used, wild) + (rnd.choice(ENDS) if rnd.random() < wild else end))
    data = bytearray("".join(parts).encode("utf-8"))
    if rnd.random() < 0.02:
        data[0:0] = b"\xef\xbb\xbf"
    if rnd.random() < 0.05:
        at = rnd.randrange(len(data) + 1)
        data[at:at] = rnd.choice(RAW)
    if data and rnd.random() < 0.05:
        data[rnd.randrange(len(data))] = rnd.randrange(256)
    if rnd.random() < 0.1:
        del data[rnd.randrange(len(data) + 1):]
    return bytes(data)


def hexed(text):
    return "." + text.encode("utf-8").hex()


def by_python(path):
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding="utf-8") as f:
            parser.read_file(f)
    except (configparser.Error, UnicodeDecodeError):
        return None
    out = set()
    for name in parser:
        out.add(hexed(name))
        for option, value in dict(parser[name]).items():
            out.add(f"{hexed(name)} {hexed(option)} {hexed(value)}")
    return out


def by_ours(program, files):
    data = b"".join(b"%d\n%s" % (len(f), f) for f in files)
    out = subprocess.run([program], input=data, stdout=subprocess.PIPE, check=True).stdout
    answers = out.decode("ascii", "replace").split("\n\n")[:-1]
    return [None if a.startswith("refused") else set(a.split("\n")) for a in answers]


def compare(program, files):
    """Pairs of (file, what is different); how many both accept."""
    bad, accepted = [], 0
    ours = by_ours(program, files)
    assert len(ours) == len(files), f"{len(ours)} answers to {len(files)} files"
    with tempfile.NamedTemporaryFile() as tmp:
        for data, got in zip(files, ours):
            tmp.seek(0)
            tmp.truncate()
            tmp.write(data)
            tmp.flush()
            want = by_python(tmp.name)
            accepted += want is not None
            if want != got:
                what = "accepted" if want is None else "refused" if got is None else want ^ got
                bad.append((data, what))
    return bad, accepted


def find_program():
    build = os.environ.get("OCID_BUILD", ROOT / "build" / "dev")
    return str(pathlib.Path(build) / "bin" / "dump-profile")


def run(program):
    seed = int(os.environ.get("OCID_SEED", random.SystemRandom().randrange(2**32)))
    count = int(os.environ.get("OCID_FILES", 4000))
    print(f"OCID_SEED={seed} OCID_FILES={count}")
    rnd = random.Random(seed)
    bad, accepted = compare(program, [make_file(rnd) for _ in range(count)])
    print(f"{count} files, {accepted} accepted by both, {len(bad)} read differently")
    for data, what in bad[:5]:
        print(repr(data), "->", what)
    assert count < 1000 or count // 8 < accepted < count, "the files test nothing"
    return bad


def test_reads_as_configparser_does():
    assert not run(find_program())


def test_every_letter_is_lowered_as_python_does():
    """The Unicode of this Python may be newer than that of our table: then letters may differ."""
    letters = [c for c in map(chr, range(0x21, 0x110000)) if not 0xD800 <= ord(c) < 0xE000]
    keys = [c for c in letters if not c.isspace() and c not in "=:#;[" and c.lower() != c]
    files = [f"[a]\n{c}={ord(c)}\n{c}Σ=1\nA{c}Σ=2\nAΣ{c}=3\n".encode() for c in keys]
    bad, _ = compare(find_program(), files)
    import unicodedata
    assert unicodedata.unidata_version != "14.0.0" or not bad
    assert len(bad) < 200


if __name__ == "__main__":
    sys.exit(1 if run(sys.argv[1]) else 0)

#!/usr/bin/env python3
"""Makes dirhash.json and known.json, the test vectors of package checksum.

    python3 -m venv venv && venv/bin/pip install checksumdir==1.3.0
    venv/bin/python make_vectors.py

dirhash.json holds directory trees and what checksumdir.dirhash gives for them.
known.json holds inputs and their digests by sha512sum, sha256sum and md5sum (GNU
coreutils), xxhsum, zlib (Adler-32, CRC-32) and a bitwise CRC-32C that is checked
against the examples of RFC 3720 B.4. It is run by hand; the tests need the two
JSON files alone.
"""

import base64
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zlib

import checksumdir


def file(path, text="", times=1):
    return {"path": path, "data": base64.b64encode(text.encode() if isinstance(text, str) else text).decode(), "times": times}


def folder(path):
    return {"path": path, "dir": True}


def link(path, to):
    return {"path": path, "link": to}


DIRS = {
    "empty directory": [],
    "one file": [file("a", "hello\n")],
    "one empty file": [file("a")],
    "empty files in several folders": [file("a"), file("x/b"), file("x/y/c")],
    "only empty folders": [folder("a/b"), folder("c")],
    "nested": [file("z", "1"), file("a/b/c/d", "2"), file("a/b/e", "3"), file("a/f", "4"), folder("a/g")],
    "names do not count": [file("f", "1"), file("a/b/e", "2"), file("d", "3"), file("zz", "4")],
    "dot files and dot folders": [file(".a", "x"), file(".b/c", "y"), file(".b/.d", "z"), file("e", "w")],
    "same content twice": [file("a", "same"), file("b", "same"), file("c/a", "same")],
    "larger than a read": [file("big", "0123456789abcdef", 200_000), file("exact", "x", 1 << 20), file("small", "s")],
    "link to a file": [file("a", "hello"), link("b", "a"), file("c/d", "world"), link("c/up", "../a")],
    "link to an empty file": [file("a"), link("b", "a")],
    "link to a directory": [file("a/b", "hello"), link("d", "a")],
    "link to its own directory": [file("a", "x"), link("self", ".")],
    "broken link": [file("a", "hello"), link("b", "nowhere")],
    "only a broken link": [link("b", "nowhere")],
    "link to itself": [file("a", "x"), link("loop", "loop")],
    "link through a file": [file("a", "x"), link("b", "a/c")],
    "chain of links": [file("a", "x"), link("b", "c"), link("c", "d"), link("d", "a")],
    "odd names": [file("a b", "1"), file("new\nline", "2"), file("back\\slash", "3"), file("-rf", "4"), file("größe", "5")],
    "binary": [file("a", bytes(range(256)), 3), file("b", b"\x00")],
}


def make_dirs():
    cases = []
    for name, nodes in DIRS.items():
        with tempfile.TemporaryDirectory() as top:
            for n in nodes:
                p = pathlib.Path(top, n["path"])
                p.parent.mkdir(parents=True, exist_ok=True)
                if n.get("dir"):
                    p.mkdir(parents=True)
                elif "link" in n:
                    p.symlink_to(n["link"])
                else:
                    p.write_bytes(base64.b64decode(n["data"]) * n["times"])
            sums = {h: checksumdir.dirhash(top, h) for h in ("sha512", "sha256", "md5")}
        cases.append({"name": name, "tree": nodes, **sums})
    return {"made_by": f"checksumdir {checksumdir.__version__}, Python {sys.version.split()[0]}", "cases": cases}


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return "%08x" % (crc ^ 0xFFFFFFFF)


def tool(*argv):
    """The last word, or the first, that looks like a digest."""
    out = subprocess.run(argv, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    words = [w.lstrip("\\") for w in out.split()]
    return next(w for w in (words[0], words[-1]) if all(c in "0123456789abcdef" for c in w))


def version(name):
    p = subprocess.run([name, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return (p.stdout + p.stderr).strip().splitlines()[0].strip()


def make_known():
    assert crc32c(bytes(32)) == "8a9136aa"
    assert crc32c(b"\xff" * 32) == "62a8ab43"
    assert crc32c(bytes(range(32))) == "46dd794e"
    assert crc32c(bytes(range(31, -1, -1))) == "113fdb5c"
    inputs = [b"", b"a", b"abc", b"123456789", b"message digest", bytes(32), b"\xff" * 32, bytes(range(32)), bytes(range(31, -1, -1))]
    # XXH3 has a branch for each of these lengths; byte i is 7·i + ⌊i/512⌋ mod 256.
    lengths = [16, 17, 128, 129, 240, 241, 1024, 1025, 65536, 200_001]
    cases = []
    with tempfile.TemporaryDirectory() as d:
        p = os.path.join(d, "f")
        for i, data in enumerate(inputs + [bytes((7 * k + (k >> 9)) & 255 for k in range(n)) for n in lengths]):
            pathlib.Path(p).write_bytes(data)
            what = {"hex": data.hex()} if i < len(inputs) else {"pattern": len(data)}
            cases.append({
                **what,
                "sums": {
                    "sha512": tool("sha512sum", p),
                    "sha256": tool("sha256sum", p),
                    "md5": tool("md5sum", p),
                    "adler32": "%08x" % zlib.adler32(data),
                    "crc32": "%08x" % zlib.crc32(data),
                    "crc32c": crc32c(data),
                    "xxh3-64": tool("xxhsum", "-H3", p),
                    "xxh3-128": tool("xxhsum", "-H128", p),
                },
            })
            assert cases[-1]["sums"]["sha512"] == hashlib.sha512(data).hexdigest()
    return {"made_by": f"{version('sha512sum')}; {version('xxhsum')}; zlib {zlib.ZLIB_RUNTIME_VERSION}", "cases": cases}


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for name, made in (("dirhash.json", make_dirs()), ("known.json", make_known())):
        (here / name).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")

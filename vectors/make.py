#!/usr/bin/env python3
"""Makes the vectors: good archives, and bad ones as differences from a good one. Run it in this folder.

Every call makes new session keys and so new bytes; the result is kept in the repository, and made again only when the
format's description changes. Needs gpg and zstd. `index.json` is described in README.md.
"""

import hashlib
import json
import os
import subprocess

import primitives as p
from archive import Archive, Run, percent_value

HERE = os.path.dirname(os.path.abspath(__file__))
A, B, C = "20260102T000000Z-0000000a", "20260103T000000Z-0000000b", "20260104T000000Z-0000000c"
KEYS = {run: p.sha(f"vector key of {run}") for run in (A, B, C)}
SECRET = hashlib.sha256(b"throw-away secret of the source files").digest()
index = []


def noise(seed, length):
    """SHA-256 in counter mode: `seed` and a 32-bit big-endian counter."""
    return b"".join(hashlib.sha256(seed + i.to_bytes(4, "big")).digest() for i in range((length + 31) // 32))[:length]


def entry(kind, path, content=None, **more):
    return {"type": kind, "path": path if isinstance(path, bytes) else path.encode(), "content": content, **more}


def file(path, content, **more):
    return entry("f", path, content, **more)


def directory(path, **more):
    return entry("d", path, mode=more.pop("mode", 0o755), **more)


def write(name, data):
    path = f"{HERE}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(data)


def manifest(name, entries):
    """What a restore must give: one object a line, paths percent-encoded, in the catalogue's order."""
    lines = []
    for e in sorted(entries, key=lambda e: p.path_key(e["path"])):
        content, regular = e.get("content"), e["type"] == "f"
        lines.append(json.dumps({
            "path": p.percent(e["path"]), "type": e["type"], "mode": f"{e.get('mode', 0o644):04o}", "uid": e.get("uid", 0), "gid": e.get("gid", 0),
            "mtime": e.get("mtime", "1700000000.123456789"), "size": len(content) if regular and content is not None else 0,
            "sha256": p.sha(content) if regular and content is not None else "-", "link": p.percent(e["link"]) if "link" in e else "-",
            "device": e.get("attributes", {}).get("device", b"").decode(), "error": e.get("attributes", {}).get("error", b"").decode()}))
    write(f"manifests/{name}.jsonl", ("\n".join(lines) + "\n").encode())
    return f"manifests/{name}.jsonl"


def secrets(archive, run):
    """The lines of a release of the whole of `run`: its key, and passphrases of what it uses of earlier runs."""
    place, lines, n = f"backup/files/{run}/", [f"{run} key.gpg {KEYS[run]}"], 1
    while f"{place}receipt-{n + 1:04d}.json" in archive.files:
        n += 1
    for i in range(1, n + 1):
        for use in json.loads(archive.files[f"{place}receipt-{i:04d}.json"])["uses"]:
            for kind, spans in (("volume", use["volumes"]), ("catalogue", use["catalogues"])):
                for span in filter(None, spans.split(",")):
                    first, last = (span.split("-") * 2)[:2]
                    for number in range(int(first), int(last) + 1):
                        base = f"{kind}-{number:08d}.tar.zst.gpg"
                        lines.append(f"{use['run']} {base} {p.passphrase(KEYS[use['run']], use['run'], base)}")
    return sorted(set(lines))


def release(archive, name, run, kind, lines):
    people = archive.people
    text = p.document({
        "format": p.FORMAT, "type": "release", "archive": archive.id, "request": p.sha(name)[:32], "created": "2026-01-05T00:00:00Z",
        "expires": "2036-01-05T00:00:00Z", "holder": people["anna"].fingerprint, "operator": people["olga"].fingerprint, "source": "files", "run": run,
        "kind": kind, "erasures": 0, "without_erasures": False, "secrets": lines})
    write(f"releases/{name}.json", text)
    write(f"releases/{name}.gpg", archive.home.gpg(
        *p.SEAL, "--local-user", people["anna"].fingerprint, "--sign", "--encrypt", "--recipient", people["olga"].fingerprint, "--output", "-", data=text))
    return f"releases/{name}.json"


def vector(name, archive_file, run, expect, reason, admin, **more):
    index.append({"name": name, "archive": archive_file, "remove": [], "overlay": "", "source": "files", "run": run, "admin": admin, "expect": expect,
                  "recover": 0, "reason": reason, "release": "", "manifest": "", "lost": [], **more})


# --- the good archive ---------------------------------------------------------------------------------------------


def block_with_cut(table):
    """2,048 bytes that, repeated, hold a cut, so that a file of several chunks still compresses to nothing."""
    least, most, limit = p.CONTENT
    for seed in range(100_000):
        block = noise(b"block %d" % seed, 2_048)
        h = 0
        for i, byte in enumerate(block + block[:64]):
            h = ((h << 1) + table[byte]) & 0xFFFFFFFF
            if i >= 32 and h < limit:
                return block
    raise RuntimeError("no block with a cut")


def good_entries(second=b"%08d" % 1):
    block = block_with_cut(p.cut_table(SECRET))
    # Several volumes hold it, and of another `second` part an earlier run holds what comes before and after.
    big = b"".join((second if i == 1 else b"%08d" % i) + block * 130 for i in range(4))
    shared = noise(b"shared", 3_000)
    everything = [
        directory(".", mode=0o750, mtime="1600000000.000000001"),
        file("empty", b""), file("plain.txt", b"hello\n", mode=0o640), file("big.bin", big, attributes={"ctime": b"1700000000.5", "ino": b"42"}),
        file("same-1", shared), file("same-2", shared, mtime="1.000000000"),
        file(b"names/new\nline", b"newline in the name"), file(b"names/tab\there", b"tab"), file(b"names/a space", b"space"), file(b"names/100%", b"percent"),
        file(b"names/\xff\xfe\x81\x88", b"not UTF-8"), file(b"names/" + b"n" * 255, b"255 bytes"), file(b"names/" + "ž€😀".encode(), b"UTF-8"),
        file(b"names/-rf", b"dash"), file(b"names/'; echo $(id) `id` \\ \"", b"quotes"), file(b"names/\x01\x02\x7f\x1b[31m", b"control"), file(b"names/*?[a]~", b"glob"),
        file(b"names/end\n", b"newline last"), file(b"-", b"just a dash"), file(b"names/ ", b"just a space"), file(b"names/\\", b"backslash"), file(b"names/#x", b"hash"),
        directory("names", mode=0o755, mtime="-1.500000000"),
        directory("empty-dir", mode=0o700, mtime="1234567890.987654321"), directory("sticky", mode=0o1777), directory("group", mode=0o2775),
        directory(b"names/dir \xe9\n"), file(b"names/dir \xe9\n/inside", b"inside", mode=0o400), directory("read-only", mode=0o555), file("read-only/f", b"in a read-only directory", mode=0o444),
        directory("deep"), directory("deep/deep"), directory("deep/deep/deep"), file("deep/deep/deep/f", b"deep"), file("deep.txt", b"sorts after deep/"),
        file("set-id", b"#!/bin/sh\n", mode=0o6755), file("secret", b"mode 0000", mode=0o000),
        file("owned", b"owner", uid=1234, gid=5678),
        file("old", b"before 1970", mtime="-1.500000000"), file("older", b"whole seconds", mtime="-86400.000000000"), file("late", b"2100", mtime="4102444800.000000000"),
        file("sparse", b"\0" * 600_000 + b"end", attributes={"sparse": b"1"}), file("zeros", b"\0" * 4_096),
        entry("l", "link", mode=0o777, link=b"plain.txt"), entry("l", "dangling", mode=0o777, link=b"/no/such\nfile \xff"), entry("l", "link-dash", mode=0o777, link=b"-"),
        entry("l", b"names/link to dir", mode=0o777, link=b"../empty-dir", mtime="1111111111.111111111"),
        entry("h", "zz-plain-again", mode=0o640, link=b"plain.txt"), entry("h", "zz-hard-link", mode=0o777, link=b"link"), entry("h", b"names/zz hard", link=b"names/new\nline"),
        entry("p", "fifo", mode=0o600), entry("s", "socket", mode=0o755), entry("h", "zz-fifo", mode=0o600, link=b"fifo"),
        entry("b", "block", mode=0o660, attributes={"device": b"7,200"}), entry("c", "char", mode=0o666, attributes={"device": b"1,3"}),
        file("xattrs", b"with attributes", attributes={"xattr.user.comment": b"a = b\n", "acl": b"user::rw-\n", "x-later": b"kept", "x-empty": b""}),
    ]
    # An attribute that takes space makes the catalogue long enough to be cut, without thousands of entries.
    for salt in range(100):
        values = [noise(b"fill %d %d" % (salt, i), 1200) * 5 for i in range(40)]
        text = "".join(percent_value(value) for value in values).encode()
        if len(p.cut(text, p.cut_table(SECRET), *p.CATALOGUE)) > 2:
            break
    return everything + [directory(f"fill-{i:02d}", attributes={"x-fill": value}) for i, value in enumerate(values)]


def good(home, people):
    archive = Archive(home, people, p.sha("good")[:32], RECOVER)
    archive.files["recover.sh"] = RECOVER
    archive.policy(1)
    archive.policy(2, holders=("anna", "boris", "clara"), cosigned=("boris",))
    archive.policy(3, holders=("anna", "boris"), cosigned=("clara",))
    found = {}
    first = good_entries()
    total, lengths = Run(archive, SECRET, A, KEYS[A], found).commit(first, per_volume=4)
    assert len(lengths) > 2, lengths
    second = [e for e in good_entries(b"changed!") if e["path"] != b"late"] + [file("zz-new", noise(b"new", 5_000), mode=0o600)]
    run = Run(archive, SECRET, B, KEYS[B], found, policy=3)
    run.commit(second[:12] + second[-1:] + [e for e in second[12:] if e["path"] == b"names"], outcome="checkpoint", previous=[A])
    second.append(file("zz-newer", noise(b"newer", 700)))
    run.commit(second, previous=[A])
    third = [e for e in second if e["path"] not in (b"plain.txt", b"zz-plain-again")] + [
        file("plain.txt", b"changed\n"), file("changing", b"as far as it was read", attributes={"error": b"changed"}),
        entry("f", "unreadable", None, mode=0o600, attributes={"error": b"EACCES"}), directory("closed", mode=0o700, attributes={"error": b"EACCES"}),
        entry("u", "gone", mode=0, mtime="0.000000000", attributes={"error": b"ENOENT"})]
    Run(archive, SECRET, C, KEYS[C], found, policy=3).commit(third, outcome="partial", previous=[B])
    write("good.tar.zst", archive.pack())
    admin = people["admin"].fingerprint
    for name, run, entries, why in (
        ("good-complete", A, first, "every type of entry and hostile names; several volumes; a catalogue of several chunks"),
        ("good-checkpoint-then-complete", B, second, "numbers 1 and 2 of one run; volumes and catalogue volumes of an earlier run"),
        ("good-partial", C, third, "some entries could not be read; uses two earlier runs"),
    ):
        vector(name, "good.tar.zst", run, "success", why, admin, manifest=manifest(name, entries), release=release(archive, name, run, "run", secrets(archive, run)))
    # The same run by passphrases alone, without its key.
    lines = [line for line in secrets(archive, C) if " key.gpg " not in line]
    for record in json.loads(archive.files[f"backup/files/{C}/receipt-0001.json"])["objects"]:
        base = record.split(" ")[0]
        if not base.startswith("key"):
            lines.append(f"{C} {base} {p.passphrase(KEYS[C], C, base)}")
    vector("good-volumes", "good.tar.zst", C, "success", "a release of single objects, without the run's key", admin,
           manifest="manifests/good-partial.jsonl", release=release(archive, "good-volumes", C, "volumes", sorted(lines)))


# --- bad archives: each is the small one with something changed ---------------------------------------------------

RECOVER = b"# The vectors carry no copy of recover.sh; tests put the present one here.\n"


def small_first():
    return [directory("."), directory("d"), file("d/a", noise(b"a", 9_000)), file("d/b", noise(b"b", 9_000)), file("one", b"one\n"), entry("l", "l", mode=0o777, link=b"one")]


def small_second():
    return small_first() + [file("two", b"two\n"), file("three", noise(b"three", 9_000))]


def small(home, people):
    archive = Archive(home, people, p.sha("small")[:32], RECOVER)
    archive.files["recover.sh"] = RECOVER
    archive.policy(1)
    found = {}
    Run(archive, SECRET, A, KEYS[A], found).commit(small_first())
    return archive, found


def keys_and_cuts():
    """keys.json and cut.json: what derives from a source's secret and a run key, and where chunks end."""
    table = p.cut_table(SECRET)
    bases = ("volume-00000001.tar.zst.gpg", "catalogue-00000001.tar.zst.gpg", "root-0001.gpg")
    write("keys.json", p.document({
        "secret": SECRET.hex(), "chunk_key": p.chunk_key(SECRET).hex(), "cut_table_first": table[:8],
        "cut_table_sha256": p.sha(b"".join(n.to_bytes(4, "little") for n in table)),
        "chunks": [{"hex": data.hex(), "id": p.chunk_id(SECRET, data)} for data in (b"a", b"one\n", bytes(range(256)))],
        "state": [{"run": A, "base": base, "passphrase": p.state_passphrase(SECRET, A, base)} for base in bases[1:]],
        "runs": [{"run": run, "key": KEYS[run], "check": p.check_value(KEYS[run]),
                  "passphrases": [{"base": base, "passphrase": p.passphrase(KEYS[run], run, base)} for base in bases]} for run in (A, B, C)]}))
    cuts = []
    for seed, repeat, length in (("cut", 0, 0), ("cut", 0, 1), ("cut", 0, 65_536), ("cut", 0, 262_144), ("cut", 0, 262_145), ("cut", 0, 12_000_000), ("other", 0, 3_000_000), ("", 9_000_000, 9_000_000)):
        data = b"\0" * repeat if repeat else noise(seed.encode(), length)
        cuts.append({"seed": seed, "zeros": repeat > 0, "length": length, "sha256": p.sha(data),
                     "content": p.cut(data, table, *p.CONTENT), "catalogue": p.cut(data, table, *p.CATALOGUE)})
    write("cut.json", p.document({"secret": SECRET.hex(), "data": "SHA-256 of the seed and a 32-bit big-endian counter from 0, joined, cut off at length; or zeros", "cuts": cuts}))


def main():
    home = p.Home()
    try:
        os.makedirs(f"{HERE}/keys", exist_ok=True)
        people = {name: p.load_identity(home, f"{HERE}/keys", name, name in ("anna", "boris", "clara", "olga"))
                  for name in ("admin", "anna", "boris", "clara", "olga", "files", "foreign")}
        subprocess.run(["rm", "-rf"] + [f"{HERE}/{d}" for d in ("bad", "manifests", "releases")], check=True)
        keys_and_cuts()
        good(home, people)
        import bad  # after the names it needs exist

        bad.make(*small(home, people), admin=people["admin"].fingerprint)
        write("index.json", p.document(index))
    finally:
        home.close()


if __name__ == "__main__":
    import sys

    sys.modules["make"] = sys.modules["__main__"]
    main()

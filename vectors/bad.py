"""The bad vectors: each takes the small archive, changes one thing, and says what a reader must make of it.

`expect` is the fault of a reader that restores the whole run; `recover` is recover.sh's exit status, which rebuilds
what is intact (`lost`: paths that it can't) unless nothing could be trusted (`manifest` empty: nothing comes back).
"""

import copy
import json

import make as m
import primitives as p
from archive import Run
from make import A, B, KEYS, SECRET

PLACE_A, PLACE_B = f"backup/files/{A}/", f"backup/files/{B}/"
VOLUME = "volume-00000001.tar.zst.gpg"


def make_run(archive, found, entries=None, run=B, previous=(A,), **options):
    made = Run(archive, SECRET, run, KEYS[run], copy.deepcopy(found), **options)
    made.commit(entries or m.small_second(), previous=previous)
    return made


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def edit(change):
    """A hook for receipts: changes members in place."""
    def hook(receipt):
        change(receipt)
        return receipt
    return hook


def make_all_hooks():
    """Vectors whose run B is written, and signed, with one step changed."""
    return [
        ("volume-symlink-member", "a volume holds a symbolic link", {"members": lambda m: m + [("e" * 64, b"", b"2", b"/etc/passwd")]}, ["two", "three"]),
        ("volume-hard-link-member", "a volume holds a hard link", {"members": lambda m: m + [("e" * 64, b"", b"1", b"/etc/passwd")]}, ["two", "three"]),
        ("volume-dotdot-member", "a volume holds a member named ../x", {"members": lambda m: m + [("../x", b"x")]}, ["two", "three"]),
        ("volume-duplicate-member", "a chunk occurs twice in a volume", {"members": lambda m: m + m[:1]}, ["two", "three"]),
        ("volume-directory-member", "a volume holds a directory", {"members": lambda m: m + [("e" * 64, b"", b"5", b"")]}, ["two", "three"]),
        ("volume-padding", "the padded length is not one of those allowed", {"volume": lambda v: v + b"\x50\x2a\x4d\x18\x04\0\0\0\0\0\0\0"}, ["two", "three"]),
        ("chunk-length", "a chunk is a byte shorter than its line says", {"members": lambda m: [(n, d[:-1]) for n, d in m]}, ["two", "three"]),
        ("file-digest", "a chunk of the right length has other bytes", {"members": lambda m: [(n, flip(d, 0)) for n, d in m]}, ["two", "three"]),
        ("catalogue-dotdot", "a path goes up", {"entries": lambda t: t[:-1] + [[t[-1][0].replace(" two ", " ../two ")] + t[-1][1:]]}, None),
        ("catalogue-absolute", "a path begins with /", {"entries": lambda t: t[:-1] + [[t[-1][0].replace(" two ", " /two ")] + t[-1][1:]]}, None),
        ("catalogue-unsorted", "entries are not in order", {"entries": lambda t: t[:-2] + [t[-1], t[-2]]}, None),
        ("catalogue-duplicate", "a path occurs twice", {"entries": lambda t: t + t[-1:]}, None),
        ("catalogue-through-link", "an entry lies beneath a symbolic link", {"entries": lambda t: [x for e in t for x in ([e, [e[0].replace(" l one", " l/x one")]] if e[0].startswith("l ") else [e])]}, None),
        ("catalogue-percent", "a letter is percent-encoded that must stand for itself", {"entries": lambda t: t[:-1] + [[t[-1][0].replace(" two ", " %74wo ")] + t[-1][1:]]}, None),
        ("catalogue-hard-link-forward", "a hard link names no earlier entry", {"entries": lambda t: t[:-1] + [["h 0644 0:0 1.000000000 0 - thriller two\n"]] + t[-1:]}, None),
        ("catalogue-size", "the lengths of the chunks do not add up to the size", {"entries": lambda t: t[:-1] + [[t[-1][0].replace(" 4 ", " 5 ")] + t[-1][1:]]}, None),
        ("chunk-outside-uses", "a chunk line names a run that the receipt does not use", {"entries": lambda t: t[:-1] + [[t[-1][0], t[-1][1].replace(B, m.C)]]}, None),
        ("root-padding", "the root's length is no power of two", {"root": lambda r: r[:-2] + b"\n"}, None),
        ("root-other-run", "the root names another run", {"root": lambda r: r.replace(f"run {B}".encode(), f"run {A}".encode())}, None),
        ("receipt-other-run", "the receipt names another run", {"receipt": edit(lambda r: r.update(run=A))}, None),
        ("receipt-other-source", "the receipt names another source", {"receipt": edit(lambda r: r.update(source="other"))}, None),
        ("receipt-other-archive", "the receipt names another archive", {"receipt": edit(lambda r: r.update(archive="0" * 32))}, None),
        ("receipt-other-number", "the receipt has another number than its name", {"receipt": edit(lambda r: r.update(number=2))}, None),
        ("receipt-unsorted", "the receipt's objects are not sorted", {"receipt": edit(lambda r: r["objects"].reverse())}, None),
        ("receipt-unknown-policy", "the receipt names a policy that is not there", {"receipt": edit(lambda r: r.update(policy=7))}, None),
        ("receipt-not-canonical", "the receipt's JSON has another byte form", {"document": lambda d: d.replace(b'"number": 1', b'"number":  1')}, None),
        ("receipt-extra-member", "the receipt has a member that the format does not know", {"document": lambda d: d.replace(b'  "policy"', b'  "extra": 1,\n  "policy"')}, None),
        ("receipt-uses-sums", "uses names a digest that is not among the earlier run's sums", {"receipt": edit(lambda r: r["uses"][0].update(sums="0" * 64))}, None),
        ("sums-unsorted", "sums are not sorted", {"sums": lambda s: b"".join(reversed(s.splitlines(True)))}, None),
        ("sums-crlf", "sums have CRLF line ends", {"sums": lambda s: s.replace(b"\n", b"\r\n")}, None),
        ("sums-foreign-name", "sums name a file that the format does not know", {"sums": lambda s: s + b"0" * 64 + b"  zzz\n"}, None),
        ("signature-foreign", "the signature is by a key that the policy does not name", {"signer": "foreign"}, None),
        ("signature-twice", "two signature packets", {"signature": lambda s: s + s}, None),
        ("signature-damaged", "a byte of the signature is flipped", {"signature": lambda s: flip(s, len(s) - 3)}, None),
        ("key-check", "the key does not have the receipt's check value", {"receipt": edit(lambda r: r.update(check=p.sha("other")))}, None),
        ("key-other-run", "key.gpg says it is of another run", {"key": lambda k: k.replace(B.encode(), A.encode())}, None),
        ("key-other-text", "key.gpg holds some other text", {"key": lambda k: b"Dear Anna,\n"}, None),
    ]


# With the run's key released, key.gpg is not opened, so these two come to light only with a holder's own key.
ONLY_KEYRING = ("key-other-run", "key-other-text")

# Whose fault it is, that of who released the key or of the source, nobody can tell: no key is given or taken.
UNUSABLE_KEY = ("key-check", *ONLY_KEYRING)


def make(archive, found, admin):
    base = dict(archive.files)
    second = copy.copy(archive)
    second.files = dict(base)
    make_run(second, found)
    intact = second.files
    m.write("small.tar.zst", second.pack())
    tree = m.manifest("small", m.small_second())
    released = m.release(second, "small", B, "run", m.secrets(second, B))
    m.vector("small", "small.tar.zst", B, "success", "what the bad vectors are made from", admin, manifest=tree, release=released)
    m.vector("small-earlier", "small.tar.zst", A, "success", "the run that small uses", admin, manifest=m.manifest("small-earlier", m.small_first()),
             release=m.release(second, "small-earlier", A, "run", m.secrets(second, A)))

    def add(name, files, reason, expect="tampered", recover=31, lost=None, **more):
        changed = sorted(n for n in files if files[n] != intact.get(n))
        overlay = f"bad/{name}.tar.zst" if changed else ""
        if changed:
            other = copy.copy(archive)
            other.files = files
            m.write(overlay, other.pack(changed))
        m.vector(name, "small.tar.zst", B, expect, reason, admin, remove=sorted(set(intact) - set(files)), overlay=overlay, recover=recover,
                 release=released, manifest="" if lost is None else tree, lost=lost or [], **more)

    for name, reason, hooks, lost in make_all_hooks():
        changed = copy.copy(archive)
        changed.files = dict(base)
        make_run(changed, found, hooks=hooks)
        more = {"expect": "refused"} if name in UNUSABLE_KEY else {}
        if name in ONLY_KEYRING:
            more["opens"] = "keyring"
        add(name, changed.files, reason, lost=lost, **more)

    def changed_by(name, reason, change, **more):
        files = dict(intact)
        change(files)
        add(name, files, reason, **more)

    def put(name, value):
        return lambda files: files.update({name: value(files[name])})

    changed_by("volume-flipped", "a byte of a volume is flipped", put(PLACE_B + VOLUME, lambda d: flip(d, 40_000)), lost=["two", "three"])
    changed_by("volume-truncated", "a volume lost its last byte", put(PLACE_B + VOLUME, lambda d: d[:-1]), lost=["two", "three"])
    changed_by("volume-appended", "a volume has a byte more", put(PLACE_B + VOLUME, lambda d: d + b"\0"), lost=["two", "three"])
    changed_by("volume-missing", "a volume is missing", lambda f: f.pop(PLACE_B + VOLUME), expect="incomplete", recover=30, lost=["two", "three"])
    changed_by("earlier-volume-missing", "a volume of a used run is missing", lambda f: f.pop(PLACE_A + VOLUME), expect="incomplete", recover=30, lost=["d/a", "d/b", "one"])
    changed_by("earlier-volume-flipped", "a byte of a used run's volume is flipped", put(PLACE_A + VOLUME, lambda d: flip(d, 30_000)), lost=["d/a", "d/b", "one"])
    changed_by("root-missing", "the root is missing", lambda f: f.pop(PLACE_B + "root-0001.gpg"), expect="incomplete", recover=30)
    changed_by("root-flipped", "a byte of the root is flipped", put(PLACE_B + "root-0001.gpg", lambda d: flip(d, 700)))
    changed_by("receipt-replaced", "the receipt is not the one that was signed", put(PLACE_B + "receipt-0001.json", lambda d: d.replace(b'"complete"', b'"partial"')))
    changed_by("signature-missing", "the run has no signature, so it does not exist", lambda f: f.pop(PLACE_B + "SHA256SUMS-0001.sig"), expect="not-found", recover=10)
    changed_by("earlier-run-missing", "a used run is missing and no expiry names it", lambda f: [f.pop(n) for n in list(f) if n.startswith(PLACE_A)], recover=30, lost=["d/a", "d/b", "one"])
    changed_by("objects-swapped", "two objects have changed places",
               lambda f: f.update({PLACE_B + VOLUME: intact[PLACE_A + VOLUME], PLACE_A + VOLUME: intact[PLACE_B + VOLUME]}), lost=["d/a", "d/b", "one", "two", "three"])
    changed_by("policy-unsigned-first", "the first policy has no signature", lambda f: f.pop("config/policy-000001.json.sig"))
    changed_by("policy-altered", "a policy was changed after it was signed", put("config/policy-000001.json", lambda d: d.replace(b'"horizon_days": 90', b'"horizon_days": 91')))
    changed_by("certificate-foreign", "the source's certificate file holds another certificate",
               lambda f: f.update({f"config/sources/{archive.people['files'].file}": archive.people["foreign"].certificate}))
    changed_by("certificate-second", "a second certificate was appended to the source's",
               put(f"config/sources/{archive.people['files'].file}", lambda d: d + archive.people["foreign"].certificate))
    changed_by("archive-id", "archive.json names another archive", put("archive.json", lambda d: d.replace(archive.id.encode(), b"0" * 32)))
    changed_by("erasure-present", "an erasure is recorded, which may forbid to bring something back",
               lambda f: f.update({"erasures/000001.json.gpg": b"sealed to the operators"}), expect="refused", recover=12)

    def with_policy(name, reason, policies, run_policy=2, expect="tampered", recover=31, **more):
        changed = copy.copy(archive)
        changed.files = dict(base)
        for options in policies:
            changed.policy(**options)
        make_run(changed, found, policy=run_policy)
        add(name, changed.files, reason, expect=expect, recover=recover, **more)

    with_policy("policy-unsigned", "the policy that the receipt names has no signature", [{"number": 2, "signed_by": None}])
    with_policy("policy-foreign", "the policy is signed by a foreign key", [{"number": 2, "signed_by": "foreign"}])
    with_policy("policy-not-cosigned", "the holders changed and no present holder signed", [{"number": 2, "holders": ("anna",)}])
    with_policy("policy-cosigned-by-new", "only the new holder signed the change of holders", [{"number": 2, "holders": ("anna", "boris", "clara"), "cosigned": ("clara",)}])
    with_policy("policy-previous", "the policy does not follow the one before", [{"number": 2, "change": lambda q: {**q, "previous": "0" * 64}}])
    with_policy("policy-other-source", "the policy does not list the run's source", [{"number": 2, "change": lambda q: {**q, "sources": []}}])
    with_policy("policy-foreign-certificate", "the policy lists a foreign certificate for the source",
                [{"number": 2, "change": lambda q: {**q, "sources": [{**q["sources"][0], "keys": [{**archive.people["foreign"].pinned(), "accept_until": ""}]}]}}])
    verifier = archive.people["clara"].pinned()
    later = {
        "handed": [{"file": "old dump.sql.gpg", "sha256": p.sha("handed"), "pkesk": p.sha("packets")}],
        "keep": [{"source": "files", "last": 7, "hourly": 0, "daily": 14, "weekly": 8, "monthly": 12, "yearly": 7, "within_days": 3, "minimum": 3}],
        "holds": [{"source": "files", "run": "", "name": "inquiry", "until": ""}, {"source": "files", "run": A, "name": "year 2025", "until": "2036-01-01T00:00:00Z"}],
        "media": {"copies": 3, "locations": 2, "offline": 1, "max_age_days": 35},
        "drills": [{"source": "files", "every_days": 30, "rto_minutes": 240, "rpo_minutes": 1_560}],
        "verifiers": [{"name": "clara", **verifier, "status": "present", "since": "2026-01-01T00:00:00Z", "sources": ["files"]}],
    }
    with_members = lambda *names: lambda policy: {**policy, **{name: later[name] for name in later if name in names}}
    with_policy("good-policy-members", "the policy has every member that came later; a verifier is co-signed", [{"number": 2, "cosigned": ("anna",), "verifiers": ("clara",), "change": with_members(*later)}], expect="success", recover=0, lost=[])
    with_policy("good-policy-some-members", "the policy has some of the members that came later", [{"number": 2, "change": with_members("holds", "drills")}], expect="success", recover=0, lost=[])
    with_policy("policy-verifier-not-cosigned", "a verifier was added and no present holder signed", [{"number": 2, "verifiers": ("clara",), "change": with_members("verifiers")}])
    with_policy("policy-members-order", "a member that came later stands before another that it must follow", [{"number": 2, "change": lambda policy: {**policy, "holds": later["holds"], "keep": later["keep"]}}])
    with_policy("good-cosigned", "a present holder signed the change of holders", [{"number": 2, "holders": ("anna", "boris", "clara"), "cosigned": ("anna",)}], expect="success", recover=0, lost=[])

    # Along the chain the policy falls from 2 to 1: the earlier run is written again, under policy 2.
    falls = copy.copy(archive)
    falls.files = {n: d for n, d in base.items() if not n.startswith(PLACE_A)}
    falls.policy(2)
    index = {}
    Run(falls, SECRET, A, KEYS[A], index, policy=2).commit(m.small_first())
    make_run(falls, index, policy=1)
    add("policy-falls", falls.files, "the receipt names a lower policy than the run before it")

    # The old packet without integrity protection, tag 9.
    bare = copy.copy(archive)
    bare.files = dict(base)
    secret = p.passphrase(KEYS[B], B, VOLUME)

    def unprotected(_):
        plain = p.volume([(p.chunk_id(SECRET, d), d) for d in (m.noise(b"three", 9_000), b"two\n")])
        sealed = old_packet(plain, secret)
        return sealed
    make_run(bare, found, hooks={"sealed": unprotected})
    add("volume-unprotected", bare.files, "a volume sealed without integrity protection (tag 9)", lost=["two", "three"])


def old_packet(plain, secret):
    """SKESK v4 (session key is the S2K itself) and tag 9, made by hand since no current program makes it; AES-256 by way of openssl's CFB."""
    import hashlib
    import os
    import subprocess

    salt = b"vectors!"
    material = salt + secret.encode()
    count = max(1024, len(material))
    key = hashlib.sha256((material * (count // len(material) + 1))[:count]).digest()
    literal = bytes([0xCB, 0xFF]) + (len(plain) + 6).to_bytes(4, "big") + b"b\0" + b"\0" * 4 + plain
    prefix = os.urandom(16)
    cfb = lambda iv, data: subprocess.run(["openssl", "enc", "-aes-256-cfb", "-K", key.hex(), "-iv", iv.hex(), "-nopad"], input=data, capture_output=True, check=True).stdout
    first = cfb(b"\0" * 16, prefix + prefix[-2:])
    body = first + cfb(first[2:18], literal)
    skesk = bytes([4, 9, 3, 8]) + salt + b"\0"
    return bytes([0xC3, len(skesk)]) + skesk + bytes([0xC9, 0xFF]) + len(body).to_bytes(4, "big") + body

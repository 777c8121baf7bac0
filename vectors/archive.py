"""An archive in memory and the runs written into it. `hooks` change one step of a run, for the vectors that must fail."""

import io
import subprocess
import tarfile

import primitives as p


class Archive:
    def __init__(self, home, people, archive_id, recover):
        self.home, self.people, self.id, self.recover = home, people, archive_id, recover
        self.files = {"archive.json": p.document({"format": p.FORMAT, "type": "archive", "archive": archive_id, "created": "2026-01-01T00:00:00Z"})}
        admin = people["admin"]
        self.files[f"config/admin/{admin.fingerprint}.asc"] = admin.certificate
        for folder, names in (("operators", ("olga",)), ("sources", ("files",))):
            for name in names:
                self.files[f"config/{folder}/{people[name].file}"] = people[name].certificate

    def policy(self, number, holders=("anna", "boris"), release="any", cosigned=(), verifiers=(), signed_by="admin", change=lambda policy: policy):
        people, admin = self.people, self.people["admin"]
        before = self.files.get(f"config/policy-{number - 1:06d}.json")
        for name in (*holders, *verifiers):
            self.files[f"config/public-keys/{people[name].file}"] = people[name].certificate
        standing = lambda name, since="2026-01-01T00:00:00Z": {"name": name, **people[name].pinned(), "status": "present", "since": since}
        policy = change({
            "format": p.FORMAT, "type": "policy", "archive": self.id, "number": number, "created": f"2026-01-01T0{number}:00:00Z",
            "previous": p.sha(before) if before else "",
            "administrator": {"file": f"{admin.fingerprint}.asc", "sha256": p.sha(admin.certificate), "fingerprint": admin.fingerprint},
            "release": release, "threshold": 1 if release == "any" else 2, "recover": p.sha(self.recover),
            "holders": [standing(name) for name in sorted(holders)], "operators": [standing("olga")],
            "sources": [{"name": "files", "kind": "dir", "schedule": "", "fresh_after": "",
                         "keys": [{**people["files"].pinned(), "accept_until": ""}]}],
            "rules": {"horizon_days": 90, "grace_days": 14, "retention_days": 365},
        })
        name = f"config/policy-{number:06d}.json"
        self.files[name] = p.document(policy)
        if signed_by:
            self.files[name + ".sig"] = p.sign(self.home, people[signed_by], self.files[name])
        for holder in cosigned:
            self.files[f"{name}.{people[holder].fingerprint}.sig"] = p.sign(self.home, people[holder], self.files[name])

    def pack(self, only=None):
        """The tree as .tar.zst, always the same bytes for the same files."""
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as out:
            for name in sorted(self.files if only is None else only):
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(self.files[name]), 0o644, 1_767_225_600
                out.addfile(info, io.BytesIO(self.files[name]))
        return subprocess.run(["zstd", "-q", "-19", "-c"], input=raw.getvalue(), capture_output=True, check=True).stdout


class Run:
    """One run of the source `files`. `index` says where chunks of earlier runs are, and grows."""

    def __init__(self, archive, secret, run, key, index, policy=1, release="any", hooks=None, source="files"):
        self.archive, self.secret, self.run, self.key, self.index = archive, secret, run, key, index
        self.policy, self.release, self.hooks, self.source = policy, release, hooks or {}, source
        self.place = f"backup/{source}/{run}/"
        self.holders = [archive.people["anna"], archive.people["boris"]]
        self.volumes, self.catalogues, self.number, self.told = 0, 0, 0, []
        self.new = []
        text = f"{p.FORMAT} run key\narchive: {archive.id}\nsource: {source}\nrun: {run}\nkey: {key}\n".encode()
        self._put("key.gpg", p.seal(archive.home, self._hook("key", text), self.holders, None))

    def _hook(self, name, value):
        return self.hooks[name](value) if name in self.hooks else value

    def _put(self, base, data):
        self.archive.files[self.place + base] = data
        self.new.append(f"{base} {len(data)} {p.sha(data)}")

    def _seal(self, base, plain):
        recipients = self.holders if self.release == "any" else []
        sealed = p.seal(self.archive.home, plain, recipients, p.passphrase(self.key, self.run, base))
        self._put(base, self._hook("sealed", sealed) if base.startswith("volume") else sealed)

    def _store(self, pieces, kind, per_volume):
        """Chunk lines of `pieces`; what the index lacks goes into new volumes."""
        fresh, lines = [], []
        for piece in pieces:
            name = p.chunk_id(self.secret, piece)
            if (kind, name) not in self.index:
                if not fresh or len(fresh) == per_volume:
                    if fresh:
                        self._close(kind, fresh)
                    fresh = []
                    if kind == "volume":
                        self.volumes += 1
                    else:
                        self.catalogues += 1
                number = self.volumes if kind == "volume" else self.catalogues
                self.index[kind, name] = (self.run, number, len(piece))
                fresh.append((name, piece))
            run, number, length = self.index[kind, name]
            self.used.setdefault(run, {"volume": set(), "catalogue": set()})[kind].add(number)
            lines.append(f"+ {name} {length} {run} {number}\n")
        if fresh:
            self._close(kind, fresh)
        return lines

    def _close(self, kind, members):
        number = self.volumes if kind == "volume" else self.catalogues
        if kind == "volume":
            members = self._hook("members", members)
        plain = self._hook("volume", p.volume(members)) if kind == "volume" else p.volume(members)
        self._seal(f"{kind}-{number:08d}.tar.zst.gpg", plain)

    def commit(self, entries, outcome="complete", previous=(), per_volume=1000):
        """Adds a number to the run; returns the totals of the root. Entries are dictionaries, see make.py."""
        self.number += 1
        self.used = {}
        table = p.cut_table(self.secret)
        entries = sorted(entries, key=lambda e: p.path_key(e["path"]))
        pieces, counts = [], []
        for entry in entries:
            content = entry.get("content") or b""
            lengths, at = p.cut(content, table, *p.CONTENT), 0
            counts.append(len(lengths))
            for length in lengths:
                pieces.append(content[at : at + length])
                at += length
        lines = self._store(pieces, "volume", per_volume)
        text, errors = [], {}
        for entry, count in zip(entries, counts):
            text.append([entry_line(entry)] + lines[:count])
            lines = lines[count:]
            if "error" in entry.get("attributes", {}):
                reason = entry["attributes"]["error"].decode()
                errors[reason] = errors.get(reason, 0) + 1
        catalogue = "".join("".join(each) for each in self._hook("entries", text)).encode()
        lengths, at, parts = p.cut(catalogue, table, *p.CATALOGUE), 0, []
        for length in lengths:
            parts.append(catalogue[at : at + length])
            at += length
        total = sum(len(e.get("content") or b"") for e in entries)
        root = (f"{p.FORMAT} root\narchive {self.archive.id}\nsource {self.source}\nrun {self.run}\nnumber {self.number}\nkind dir\n"
                f"outcome {outcome}\nentries {len(entries)}\nerrors {sum(errors.values())}\nbytes {total}\n"
                f"catalogue {len(catalogue)} {p.sha(catalogue)}\n" + "".join(self._store(parts, "catalogue", 1)))
        self._seal(f"root-{self.number:04d}.gpg", self._hook("root", p.pad_text(root.encode())))
        uses = []
        for run in sorted(set(self.used) - {self.run}):
            kinds = self.used[run]
            uses.append({"run": run, "sums": self._head(run), "volumes": p.ranges(kinds["volume"]), "catalogues": p.ranges(kinds["catalogue"])})
        receipt = self._hook("receipt", {
            "format": p.FORMAT, "type": "receipt", "archive": self.archive.id, "source": self.source, "run": self.run, "number": self.number,
            "policy": self.policy, "outcome": outcome, "started": "2026-01-02T00:00:00Z", "finished": "2026-01-02T00:00:05Z", "kind": "dir",
            "release": self.release, "check": p.check_value(self.key), "recipients": sorted(h.fingerprint for h in self.holders),
            "previous": sorted(f"{run} {self._head(run)}" for run in previous), "uses": uses,
            "entries": p.power_of_two(len(entries)), "bytes": p.power_of_two(total),
            "errors": sorted(f"{reason} {count}" for reason, count in errors.items()), "handed": [], "objects": sorted(self.new)})
        self.finish(self._hook("document", p.document(receipt)))
        return len(catalogue), lengths

    def finish(self, receipt):
        files, n = self.archive.files, self.number
        files[f"{self.place}receipt-{n:04d}.json"] = receipt
        names = [line.split(" ")[0] for line in self.new] + [f"receipt-{n:04d}.json"]
        if n > 1:
            names += [f"SHA256SUMS-{n - 1:04d}", f"SHA256SUMS-{n - 1:04d}.sig"]
        sums = "".join(f"{p.sha(files[self.place + name])}  {name}\n" for name in sorted(names)).encode()
        files[f"{self.place}SHA256SUMS-{n:04d}"] = sums = self._hook("sums", sums)
        signature = p.sign(self.archive.home, self.archive.people[self.hooks.get("signer", "files")], sums)
        files[f"{self.place}SHA256SUMS-{n:04d}.sig"] = self._hook("signature", signature)
        self.new = []

    def _head(self, run):
        place, n = f"backup/{self.source}/{run}/", 1
        while f"{place}SHA256SUMS-{n + 1:04d}.sig" in self.archive.files:
            n += 1
        return p.sha(self.archive.files[f"{place}SHA256SUMS-{n:04d}"])


def entry_line(entry):
    kind, content = entry["type"], entry.get("content")
    digest = p.sha(content) if kind == "f" and content is not None else "-"
    size = len(content) if kind == "f" and content is not None else 0
    link = p.percent(entry["link"]) if "link" in entry else "-"
    attributes = "".join(f" {p.percent(name.encode())}={percent_value(value)}" for name, value in sorted(entry.get("attributes", {}).items()))
    return (f"{kind} {entry.get('mode', 0o644):04o} {entry.get('uid', 0)}:{entry.get('gid', 0)} {entry.get('mtime', '1700000000.123456789')} "
            f"{size} {digest} {p.percent(entry['path'])} {link}{attributes}\n")


def percent_value(value):
    return "".join(chr(byte) if byte in p.PLAIN else f"%{byte:02X}" for byte in value)

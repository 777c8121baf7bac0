"""The parts of an archive, written from docs/format.md alone with the Python library and gpg and zstd.

Nothing here is shared with the project's own code: that is what makes the vectors worth comparing with.
It is slow and holds everything in memory. All keys are throw-away test keys.
"""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tempfile

FORMAT = "backup-cloud/1"
FAKED_TIME = "20260102T000000"  # so that no machine's clock is before a signature


def sha(data):
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


def document(value):
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


# --- keys (section 5) ---------------------------------------------------------------------------------------------


def hkdf(secret, info, length):
    prk = hmac.new(b"\0" * 32, secret, hashlib.sha256).digest()
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info.encode() + bytes([n]), hashlib.sha256).digest()
        out, n = out + block, n + 1
    return out[:length]


def chunk_key(secret):
    return hkdf(secret, f"{FORMAT}:chunk", 32)


def cut_table(secret):
    raw = hkdf(secret, f"{FORMAT}:cut", 1024)
    return [int.from_bytes(raw[4 * i : 4 * i + 4], "little") for i in range(256)]


def state_passphrase(secret, run, base):
    return hkdf(secret, f"{FORMAT}:state:{run}:{base}", 32).hex()


def passphrase(key, run, base):
    return sha(f"{key}:" + sha(f"{FORMAT}:{key}:{run}:{base}"))


def check_value(key):
    return sha(f"{FORMAT}:check:{key}")


def chunk_id(secret, data):
    return hmac.new(chunk_key(secret), data, hashlib.sha256).hexdigest()


# --- cutting (section 6) ------------------------------------------------------------------------------------------

CONTENT = (262_144, 4_194_304, 5_461)
CATALOGUE = (65_536, 1_048_576, 21_845)


def cut(data, table, least, most, limit):
    """The lengths of the chunks of `data`. The hash's window is 32 bytes, so older terms leave it by themselves."""
    lengths, start, h = [], 0, 0
    for i, byte in enumerate(data):
        h = ((h << 1) + table[byte]) & 0xFFFFFFFF
        if i - start + 1 >= most or (i >= start + least - 1 and h < limit):
            lengths.append(i - start + 1)
            start = i + 1
    if start < len(data):
        lengths.append(len(data) - start)
    return lengths


# --- OpenPGP (sections 3 and 4) -----------------------------------------------------------------------------------


class Home:
    """A temporary GnuPG home."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="bcv.")
        os.chmod(self.path, 0o700)

    def gpg(self, *args, data=b"", fds=()):
        command = ["gpg", "--homedir", self.path, "--no-options", "--batch", "--quiet", "--no-tty", "--trust-model", "always"]
        done = subprocess.run(command + list(args), input=data, capture_output=True, pass_fds=fds)
        if done.returncode != 0:
            raise RuntimeError(f"gpg {args}: {done.stderr.decode()}")
        return done.stdout

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.path, "--kill", "all"], capture_output=True)
        shutil.rmtree(self.path, ignore_errors=True)


class Identity:
    """A test key: `secret` and `certificate` are armoured bytes."""

    def __init__(self, name, secret, certificate, fingerprint):
        self.name, self.secret, self.certificate, self.fingerprint = name, secret, certificate, fingerprint

    @property
    def file(self):
        return f"{self.name}-{sha(self.certificate)[:16]}.asc"

    def pinned(self):
        return {"file": self.file, "sha256": sha(self.certificate), "fingerprint": self.fingerprint}


def load_identity(home, folder, name, encrypts):
    """The identity kept in `folder`, made the first time."""
    secret_file, public_file = f"{folder}/{name}.secret.asc", f"{folder}/{name}.asc"
    faked = ("--faked-system-time", "20250101T000000")
    empty = ("--pinentry-mode", "loopback", "--passphrase", "")
    if not os.path.exists(secret_file):
        user = f"Throw-away test key {name} <{name}@vectors.invalid>"
        home.gpg(*faked, *empty, "--quick-gen-key", user, "ed25519", "cert,sign", "never")
        listing = home.gpg("--with-colons", "--list-keys", f"={user}").decode()
        fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        if encrypts:
            home.gpg(*faked, *empty, "--quick-add-key", fingerprint, "cv25519", "encr", "never")
        open(secret_file, "wb").write(home.gpg(*empty, "--armor", "--export-secret-keys", fingerprint))
        open(public_file, "wb").write(home.gpg("--armor", "--export", fingerprint))
    secret, certificate = open(secret_file, "rb").read(), open(public_file, "rb").read()
    home.gpg(*empty, "--import", data=secret)
    listing = home.gpg("--with-colons", "--show-keys", public_file).decode()
    fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
    return Identity(name, secret, certificate, fingerprint)


def sign(home, identity, data):
    return home.gpg("--faked-system-time", FAKED_TIME, "--digest-algo", "SHA256", "--local-user", identity.fingerprint,
                    "--detach-sign", "--output", "-", data=data)


SEAL = ("--rfc4880", "--cipher-algo", "AES256", "--digest-algo", "SHA256", "--s2k-cipher-algo", "AES256", "--s2k-digest-algo", "SHA256", "--s2k-mode", "3",
        "--s2k-count", "1024", "--compress-algo", "none", "--set-filename", "", "--faked-system-time", FAKED_TIME)


sealed = {}


def seal(home, data, recipients, secret):
    """Sealed `data`; the same bytes for the same arguments, so that the bad vectors differ little from the good one."""
    key = (data, tuple(identity.fingerprint for identity in recipients), secret)
    if key not in sealed:
        sealed[key] = seal_anew(home, data, recipients, secret)
    return sealed[key]


def seal_anew(home, data, recipients, secret):
    arguments = list(SEAL)
    for identity in recipients:
        arguments += ["--encrypt", "--recipient", identity.fingerprint]
    if secret is None:
        return home.gpg(*arguments, "--output", "-", data=data)
    read, write = os.pipe()
    os.write(write, secret.encode() + b"\n")
    os.close(write)
    try:
        return home.gpg(*arguments, "--symmetric", "--pinentry-mode", "loopback", "--passphrase-fd", str(read), "--output", "-", data=data, fds=(read,))
    finally:
        os.close(read)


# --- volumes (section 7) ------------------------------------------------------------------------------------------


def tar_header(name, size, flag=b"0", link=b""):
    """A header block in the one accepted form; `flag` and `link` for the members that must be refused."""
    block = bytearray(512)
    block[0 : len(name)] = name.encode()
    block[100:108] = b"0000600\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = f"{size:011o}".encode() + b"\0"
    block[136:148] = b"00000000000\0"
    block[148:156] = b"        "
    block[156:157] = flag
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\00000"
    block[148:156] = f"{sum(block):06o}".encode() + b"\0 "
    return bytes(block)


def tar(members):
    out = b""
    for member in members:
        name, data = member[:2]
        flag, link = (member[2], member[3]) if len(member) > 2 else (b"0", b"")
        out += tar_header(name, len(data), flag, link) + data + b"\0" * (-len(data) % 512)
    return out + b"\0" * 1024


def zstd(data):
    return subprocess.run(["zstd", "-q", "-3", "--check", f"--stream-size={len(data)}", "-c"], input=data, capture_output=True, check=True).stdout


def pad_frames(frames, wrong=0):
    """Appends the skippable frame; `wrong` bytes more than the rule allows, for the vector that must be refused."""
    length = 65_536
    while length < len(frames) + 8:
        length *= 2
    if length > 33_554_432:
        raise ValueError("vectors are small")
    empty = length - len(frames) - 8 + wrong
    return frames + b"\x50\x2a\x4d\x18" + empty.to_bytes(4, "little") + b"\0" * empty


def volume(members):
    return pad_frames(zstd(tar(members)))


def pad_text(text):
    """A root with its last line, `pad`."""
    length = 65_536
    while length < len(text) + 5:
        length *= 2
    return text + b"pad " + b"." * (length - len(text) - 5) + b"\n"


# --- catalogue (section 8) ----------------------------------------------------------------------------------------

PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+,:@~")


def percent(data):
    if data == b"-":
        return "%2D"
    return "".join(chr(byte) if byte in PLAIN else f"%{byte:02X}" for byte in data)


def path_key(path):
    """Order of the catalogue: bytewise, `/` as byte 0; the top first."""
    return b"" if path == b"." else path.replace(b"/", b"\0")


def power_of_two(n):
    return 0 if n == 0 else 1 << (n - 1).bit_length()


def ranges(numbers):
    parts, numbers = [], sorted(set(numbers))
    while numbers:
        first = last = numbers.pop(0)
        while numbers and numbers[0] == last + 1:
            last = numbers.pop(0)
        parts.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(parts)


def b64(data):
    return base64.b64encode(data).decode()

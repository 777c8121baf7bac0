// What only the gpg doors can get wrong: homes, agents, arguments, children, a person's keyring, old hashes.

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { promisify } from "node:util"
import { openGpgHome, personalHome } from "@backup-cloud/openpgp"
import { exportCertificate, generateKey, importSecretKey } from "@backup-cloud/openpgp/keygen"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { gpgSealer } from "@backup-cloud/openpgp/seal"
import { gpgSigner, importedGpgSigner } from "@backup-cloud/openpgp/sign"
import { gpgVerifier, jsVerifier } from "@backup-cloud/openpgp/verify"
import { gpgOutput } from "../src/gpg.ts"
import { bytes, joined, pieces, signal } from "./doors.ts"

const run = promisify(execFile)
const PASSPHRASE = "correct horse battery staple"

async function folder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "bc-test-"))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Whether a process is there and has not ended. */
async function lives(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null)
  return status !== null && !/\) [ZX] /.test(status)
}

/** Waits until `done` says yes; the test runner's own limit ends a wait for what never happens. */
async function until(done: () => Promise<boolean>): Promise<void> {
  while (!(await done())) await new Promise((resolve) => setImmediate(resolve))
}

test("a temporary home is private, short, and gone with its agent", async () => {
  const home = await openGpgHome()
  const path = home.path ?? ""
  assert.ok(path.length < 80)
  assert.equal((await stat(path)).mode & 0o777, 0o700)
  await importSecretKey(home, (await generateKey({ userId: "a", kind: "sign" })).secretKey)
  const { stdout } = await run("gpg-connect-agent", ["--homedir", path, "--no-autostart", "GETINFO pid", "/bye"])
  const pid = Number(/^D ([0-9]+)$/m.exec(stdout)?.[1])
  assert.ok(await lives(pid))
  await home[Symbol.asyncDispose]()
  await assert.rejects(stat(path), { code: "ENOENT" })
  await until(async () => !(await lives(pid)))
})

test("a home whose path would be too long for sockets is refused", async () => {
  await assert.rejects(openGpgHome({ parent: `/tmp/${"x".repeat(70)}` }), { fault: "usage" })
})

test("sealing, opening by passphrase and verifying start no agent", async () => {
  await using home = await openGpgHome()
  const { certificate, secretKey } = await generateKey({ userId: "a", kind: "holder" })
  const message = await joined(
    gpgSealer(home).seal(pieces(bytes("x")), { certificates: [certificate], passphrase: PASSPHRASE }, signal),
  )
  await joined(gpgPassphraseOpener(home).open(pieces(message), PASSPHRASE, signal))
  await using verifier = gpgVerifier(home)
  await verifier.certificate(certificate.bytes, "file", signal)
  const socket = async (): Promise<boolean> => {
    const { stdout } = await run("gpgconf", ["--homedir", home.path ?? "", "--list-dirs", "agent-socket"])
    return stat(stdout.trim()).then(
      () => true,
      () => false,
    )
  }
  assert.equal(await socket(), false)
  await importSecretKey(home, secretKey)
  assert.equal(await socket(), true)
})

test("no passphrase and no secret key is ever in an argument or the environment", async () => {
  await using dir = await folder()
  const log = join(dir.path, "log")
  const wrapper = join(dir.path, "gpg")
  await writeFile(
    wrapper,
    `#!/bin/sh\n{ printf '%s\\n' "$@"; env; cat /proc/$$/cmdline /proc/$$/environ; } >> '${log}'\nexec gpg "$@"\n`,
  )
  await chmod(wrapper, 0o755)
  await writeFile(join(dir.path, "gpgconf"), `#!/bin/sh\nexec gpgconf "$@"\n`, { mode: 0o755 })
  await using home = await openGpgHome({ program: wrapper })
  const { certificate, secretKey } = await generateKey({ userId: "a", kind: "holder" })
  const to = { certificates: [certificate], passphrase: PASSPHRASE }
  const message = await joined(gpgSealer(home).seal(pieces(bytes("plain text")), to, signal))
  assert.equal(
    (await joined(gpgPassphraseOpener(home).open(pieces(message), PASSPHRASE, signal))).toString(),
    "plain text",
  )
  const signer = await importedGpgSigner(home, secretKey)
  await signer.detached(bytes("plain text"), signal)
  await gpgPrivateOpener(home).open(message, "message", signal)
  const seen = await readFile(log, "latin1")
  assert.ok(seen.includes("--passphrase-fd=5") && seen.includes("--import") && seen.includes("--decrypt"))
  assert.ok(!seen.includes(PASSPHRASE))
  assert.ok(!seen.includes("plain text"))
  assert.ok(!seen.includes(Buffer.from(secretKey).toString().split("\n")[3] ?? "?"))
  for (const name of await readdir(home.path ?? "", { recursive: true, withFileTypes: true })) {
    if (!name.isFile()) continue
    const content = await readFile(join(name.parentPath, name.name), "latin1")
    assert.ok(!content.includes(PASSPHRASE) && !content.includes("plain text"), name.name)
  }
})

/** A gpg that notes its process id and then goes on as gpg. */
async function noting(dir: string): Promise<string> {
  const wrapper = join(dir, "gpg")
  await writeFile(wrapper, `#!/bin/sh\necho $$ > '${join(dir, "pid")}'\nexec gpg "$@"\n`, { mode: 0o755 })
  await writeFile(join(dir, "gpgconf"), `#!/bin/sh\nexec gpgconf "$@"\n`, { mode: 0o755 })
  return wrapper
}

test("gpg is gone once an abort, a failing input or an early end is over", async () => {
  await using dir = await folder()
  await using home = await openGpgHome({ program: await noting(dir.path) })
  const to = { certificates: [], passphrase: PASSPHRASE }
  const pid = async (): Promise<number> => Number(await readFile(join(dir.path, "pid"), "utf8"))
  const stop = new AbortController()
  async function* input(end: () => void): AsyncGenerator<Uint8Array> {
    for (let i = 0; ; i++) {
      if (i === 10) end()
      yield randomBytes(65_536)
    }
  }
  const aborted = joined(
    gpgSealer(home).seal(
      input(() => {
        stop.abort(new Error("enough"))
      }),
      to,
      stop.signal,
    ),
  )
  await assert.rejects(aborted, { message: "enough" })
  assert.equal(await lives(await pid()), false)
  const fail = (): never => {
    throw new Error("no more")
  }
  await assert.rejects(joined(gpgSealer(home).seal(input(fail), to, signal)), { message: "no more" })
  assert.equal(await lives(await pid()), false)
  for await (const piece of gpgSealer(home).seal(
    input(() => {}),
    to,
    signal,
  )) {
    assert.ok(piece.length > 0 && (await lives(await pid())))
    break
  }
  assert.equal(await lives(await pid()), false)
  await assert.rejects(joined(gpgSealer(home).seal(input(fail), to, AbortSignal.abort(new Error("before")))), {
    message: "before",
  })
})

test("the input is read no faster than gpg takes it", async () => {
  await using home = await openGpgHome()
  let given = 0
  async function* input(): AsyncGenerator<Uint8Array> {
    for (; given < 64; given++) yield new Uint8Array(1 << 20)
  }
  const to = { certificates: [], passphrase: PASSPHRASE }
  const sealed = gpgSealer(home).seal(input(), to, signal)[Symbol.asyncIterator]()
  await sealed.next()
  // What was given fills pipes and buffers, and then waits for us.
  for (let i = 0; i < 1_000; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(given < 16, `${given} MiB were taken`)
  await sealed.return?.()
})

test("a missing program is unavailable, and says what to install", async () => {
  await using dir = await folder()
  const home = { ...(await openGpgHome({ parent: dir.path })), program: join(dir.path, "no-such-gpg") }
  const sealing = joined(gpgSealer(home).seal(pieces(bytes("x")), { certificates: [], passphrase: "x" }, signal))
  await assert.rejects(sealing, { fault: "unavailable", hint: "install GnuPG 2.2 or later" })
})

test("a program that ends well without doing its work is not believed", async () => {
  await using dir = await folder()
  const program = join(dir.path, "gpg")
  await writeFile(program, "#!/bin/sh\ncat >/dev/null\n", { mode: 0o755 })
  const home = { ...(await openGpgHome({ parent: dir.path })), program }
  const { certificate, secretKey } = await generateKey({ userId: "a", kind: "holder" })
  const to = { certificates: [certificate], passphrase: PASSPHRASE }
  await assert.rejects(joined(gpgSealer(home).seal(pieces(bytes("x")), to, signal)), { fault: "unavailable" })
  await assert.rejects(gpgSigner(home, certificate.fingerprint).detached(bytes("x"), signal), { fault: "unavailable" })
  await assert.rejects(importSecretKey(home, secretKey), { fault: "refused" })
  await using real = await openGpgHome()
  const message = await joined(gpgSealer(real).seal(pieces(bytes("x")), to, signal))
  await assert.rejects(joined(gpgPassphraseOpener(home).open(pieces(message), PASSPHRASE, signal)), {
    fault: "refused",
  })
  await using verifier = gpgVerifier(home)
  const signature = await (await importedGpgSigner(real, secretKey)).detached(bytes("x"), signal)
  await assert.rejects(verifier.detached(bytes("x"), signature, certificate, "file", signal), { fault: "refused" })
})

test("a program that is given nothing may end before it has looked for it", async () => {
  await using dir = await folder()
  const program = join(dir.path, "gpg")
  await writeFile(program, `#!/bin/sh\necho $$ > ${dir.path}/pid\necho done\n`, { mode: 0o755 })
  await using home = { ...(await openGpgHome({ parent: dir.path })), program }
  async function* late(...input: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
    const pid = async (): Promise<number> => Number(await readFile(join(dir.path, "pid"), "utf8").catch(() => ""))
    await until(async () => (await pid()) > 0 && !(await stat(`/proc/${await pid()}`).catch(() => null)))
    yield* input
  }
  const output = (input: AsyncIterable<Uint8Array>) => gpgOutput(home, { args: [], input, judge() {} }, 100, signal)
  assert.equal((await output(late())).toString(), "done\n")
  assert.equal((await output(late(new Uint8Array(0)))).toString(), "done\n")
  await rm(join(dir.path, "pid"))
  await assert.rejects(output(late(bytes("x"))), { fault: "unavailable" })
})

test("a person's keyring is used and left as it is", async () => {
  await using temporary = await openGpgHome()
  const { certificate, secretKey } = await generateKey({ userId: "Admin <admin@example.org>", kind: "sign" })
  await importSecretKey(temporary, secretKey)
  const own = personalHome(temporary.path)
  const by = await exportCertificate(own, "admin@example.org")
  assert.equal(by.fingerprint, certificate.fingerprint)
  const signature = await gpgSigner(own, by.fingerprint).detached(bytes("policy"), signal)
  await using verifier = gpgVerifier()
  await verifier.detached(bytes("policy"), signature, by, "policy", signal)
  await own[Symbol.asyncDispose]()
  await gpgSigner(own, by.fingerprint).detached(bytes("policy"), signal)
  await assert.rejects(exportCertificate(own, "nobody@example.org"), { fault: "not-found" })
  await assert.rejects(importedGpgSigner(own, secretKey), { fault: "usage" })
  const other = await generateKey({ userId: "Admin Two <admin2@example.org>", kind: "sign" })
  await assert.rejects(gpgSigner(own, other.certificate.fingerprint).detached(bytes("x"), signal), { fault: "refused" })
  await importSecretKey(own, other.secretKey)
  await gpgSigner(own, other.certificate.fingerprint).detached(bytes("x"), signal)
  await assert.rejects(exportCertificate(own, "Admin"), { fault: "refused" })
})

test("signatures with SHA-1 or MD5 do not count", async () => {
  await using home = await openGpgHome()
  const { certificate, secretKey } = await generateKey({ userId: "a", kind: "sign" })
  await importSecretKey(home, secretKey)
  await mkdir(join(home.path ?? "", "work"))
  const file = join(home.path ?? "", "work", "file")
  await writeFile(file, "text")
  const made = async (hash: string): Promise<Uint8Array> => {
    const options = ["--no-options", "--batch", "--allow-weak-digest-algos", "--digest-algo", hash, "--yes"]
    await run("gpg", ["--homedir", home.path ?? "", ...options, "--output", `${file}.sig`, "--detach-sign", file])
    return readFile(`${file}.sig`)
  }
  await using gpg = gpgVerifier()
  for (const verifier of [gpg, jsVerifier()]) {
    for (const hash of ["SHA1", "MD5"]) {
      const weak = await made(hash)
      await assert.rejects(
        verifier.detached(bytes("text"), weak, certificate, "file", signal),
        { fault: "refused" },
        hash,
      )
    }
    for (const hash of ["SHA256", "SHA384", "SHA512"]) {
      await verifier.detached(bytes("text"), await made(hash), certificate, "file", signal)
    }
  }
})

test("verifiers in one home do not disturb each other", async () => {
  await using home = await openGpgHome()
  const { certificate, secretKey } = await generateKey({ userId: "a", kind: "sign" })
  const signature = await (await importedGpgSigner(home, secretKey)).detached(bytes("text"), signal)
  await using one = gpgVerifier(home)
  await one.detached(bytes("text"), signature, certificate, "file", signal)
  const two = gpgVerifier(home)
  await Promise.all([1, 2, 3].map(() => two.detached(bytes("text"), signature, certificate, "file", signal)))
  await two[Symbol.asyncDispose]()
  await one.detached(bytes("text"), signature, certificate, "file", signal)
  await assert.rejects(one.detached(bytes("tent"), signature, certificate, "file", signal), { fault: "refused" })
})

test("a killed gpg says nothing about the signature", async () => {
  await using dir = await folder()
  await using real = await openGpgHome()
  const program = join(dir.path, "gpg")
  await writeFile(program, `#!/bin/sh\ncase $* in *--verify*) kill -9 $$ ;; esac\nexec gpg "$@"\n`, { mode: 0o755 })
  const { certificate, secretKey } = await generateKey({ userId: "a", kind: "sign" })
  const signature = await (await importedGpgSigner(real, secretKey)).detached(bytes("x"), signal)
  await using verifier = gpgVerifier({ ...real, program })
  await assert.rejects(verifier.detached(bytes("x"), signature, certificate, "file", signal), { fault: "unavailable" })
})

test("a message that gpg signed by hand, armoured and compressed, is read by both", async () => {
  await using home = await openGpgHome()
  const { certificate, secretKey } = await generateKey({ userId: "a", kind: "sign" })
  await importSecretKey(home, secretKey)
  const child = run("gpg", ["--homedir", home.path ?? "", "--no-options", "--batch", "--armor", "--sign"])
  child.child.stdin?.end("a request\n")
  const message = bytes((await child).stdout)
  await using gpg = gpgVerifier()
  for (const verifier of [gpg, jsVerifier()]) {
    assert.equal(Buffer.from(await verifier.message(message, certificate, "r", signal)).toString(), "a request\n")
  }
})

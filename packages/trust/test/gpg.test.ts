// What hangs on signatures, once more with keys and signatures of real gpg, and with both verifiers.

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import test from "node:test"
import { promisify } from "node:util"
import { names } from "@backup-cloud/format"
import { openGpgHome } from "@backup-cloud/openpgp"
import { exportCertificate } from "@backup-cloud/openpgp/keygen"
import { gpgSigner } from "@backup-cloud/openpgp/sign"
import { gpgVerifier, jsVerifier } from "@backup-cloud/openpgp/verify"
import { memoryStore } from "@backup-cloud/store"
import { addSource, memoryInMemory, readRuns, retireHolder, verifyArchive } from "../src/index.ts"
import { entry, hourly, type MakePerson, makeArchive, signal } from "./archive.ts"

const run = promisify(execFile)
const [A, B, C] = [1, 2, 3].map((n) => `2026112${n}T080000Z-0000000${n}`) as [string, string, string]

for (const [door, open] of [
  ["gpg", () => gpgVerifier()],
  ["OpenPGP.js", () => jsVerifier()],
] as const)
  test(`keys made by gpg, judged by ${door}`, async () => {
    await using home = await openGpgHome()
    const gpg = async (...args: string[]) =>
      run(home.program, ["--homedir", home.path ?? "", "--batch", "--pinentry-mode=loopback", "--passphrase=", ...args])
    const verifier = open()
    const person: MakePerson = async (name, kind) => {
      const mail = `${name}@example.org`
      await gpg("--quick-generate-key", `${name} <${mail}>`, "ed25519", "sign", "never")
      const { fingerprint } = await exportCertificate(home, mail)
      if (kind === "holder") await gpg("--quick-add-key", fingerprint, "cv25519", "encr", "never")
      const { bytes } = await exportCertificate(home, mail)
      return {
        name,
        signer: gpgSigner(home, fingerprint),
        certificate: await verifier.certificate(bytes, name, signal),
      }
    }
    const archive = await makeArchive(memoryStore({ now: hourly() }), { person, verifier })
    await archive.addSource("docs")
    const foreign = await person("mallory", "sign")
    const first = await archive.commit({ source: "docs", run: A })
    await archive.commit({ source: "docs", run: B, signer: foreign.signer, previous: [first.line] })
    await archive.amend([], retireHolder(archive.holders[1]!.certificate.fingerprint))
    await archive.commit({ source: "docs", run: C, previous: [first.line] })

    const trust = await archive.load({ strict: true })
    assert.equal(trust.policy.number, 3)
    const runs = await readRuns(trust, archive.store, "docs", signal)
    assert.deepEqual(runs.broken, [B], "a signature by a foreign key does not count")
    assert.deepEqual(
      runs.runs.map((each) => each.run),
      [A, C],
    )

    const options = { trust, reader: archive.store, quick: false, memory: memoryInMemory(), signal, width: 2 }
    const verify = async () => (await verifyArchive({ ...options, onEvent: () => undefined })).problems
    assert.ok((await verify()).every((problem) => problem.object.startsWith(names.runDirectory("docs", B))))
    const sums = names.runDirectory("docs", A) + names.sums(1)
    const good = await archive.read(sums)
    await archive.replace(
      sums,
      good.map((b, i) => (i === good.length - 2 ? b ^ 1 : b)),
    )
    assert.ok((await verify()).some((problem) => problem.object === sums && problem.fault === "tampered"))
    await archive.replace(sums, good)
    assert.ok(!(await verify()).some((problem) => problem.object === sums))
  })

test("a certificate with a revocation is not enrolled; a source's signature by it does not count", async () => {
  await using home = await openGpgHome()
  const gpg = async (...args: string[]) =>
    run(home.program, ["--homedir", home.path ?? "", "--batch", "--pinentry-mode=loopback", "--passphrase=", ...args])
  const verifier = gpgVerifier()
  const archive = await makeArchive(memoryStore({ now: hourly() }), { verifier })
  await gpg("--quick-generate-key", "docs <docs@example.org>", "ed25519", "sign", "never")
  const { fingerprint, bytes } = await exportCertificate(home, "docs@example.org")
  const signer = gpgSigner(home, fingerprint)
  const revocation = await readFile(join(home.path ?? "", "openpgp-revocs.d", `${fingerprint}.rev`), "utf8")
  const file = join(home.path ?? "", "revocation.asc")
  await writeFile(file, revocation.replace(":-----BEGIN", "-----BEGIN"))
  const good = await verifier.certificate(bytes, "docs", signal)

  await using elsewhere = await openGpgHome()
  const other = async (...args: string[]) =>
    run(elsewhere.program, ["--homedir", elsewhere.path ?? "", "--batch", ...args])
  await writeFile(join(elsewhere.path ?? "", "docs.asc"), bytes)
  await other("--import", join(elsewhere.path ?? "", "docs.asc"))
  await other("--import", file)
  const revoked = await verifier.certificate((await exportCertificate(elsewhere, fingerprint)).bytes, "docs", signal)
  assert.equal(revoked.revoked, true)
  const source = { name: "docs", kind: "dir", schedule: "" }
  const enrol = (certificate: typeof good) =>
    archive.amend([entry("source", { name: "docs", certificate, signer })], addSource({ ...source, certificate }))
  await assert.rejects(enrol(revoked), { fault: "refused", message: /revoked/ })

  // An administrator who enrols it all the same, past our checks.
  await enrol({ ...revoked, revoked: false, canSign: true })
  await archive.commit({ source: "docs", run: A, signer })
  assert.deepEqual((await readRuns(await archive.load(), archive.store, "docs", signal)).broken, [A])

  const fine = await makeArchive(memoryStore({ now: hourly() }), { verifier })
  await fine.amend(
    [entry("source", { name: "docs", certificate: good, signer })],
    addSource({ ...source, certificate: good }),
  )
  await fine.commit({ source: "docs", run: A, signer })
  assert.deepEqual((await readRuns(await fine.load(), fine.store, "docs", signal)).broken, [])
})

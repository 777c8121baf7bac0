// Every vector through the whole way of a restore with the packages of this project: trust, runs, release, root,
// catalogue, plan, target. What a good one gives back is compared with its manifest entry by entry; a bad one must end
// with its fault, and nothing that is damaged may be in the target, staged or named.
//
// Needs root, since owners and devices are restored too.

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import {
  BackupError,
  checkValue,
  decodeRunKey,
  derivedPassphrase,
  names,
  percentEncode,
  type Release,
  releaseCodec,
  timeField,
} from "@backup-cloud/format"
import { type GpgHome, openGpgHome } from "@backup-cloud/openpgp"
import { gpgPassphraseOpener, jsPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { jsPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { gpgVerifier, jsVerifier } from "@backup-cloud/openpgp/verify"
import {
  catalogueEntries,
  erasingFor,
  openRelease,
  openRoot,
  planRestore,
  type RestoreResult,
  type RunView,
  restore,
  type Secrets,
  usedRuns,
} from "@backup-cloud/restore"
import { dirTarget } from "@backup-cloud/source-dir"
import { directoryStore } from "@backup-cloud/store"
import { knownErasures, loadTrust, memoryInMemory, readObject, readRuns, selectRun } from "@backup-cloud/trust"
import { loadManifest, loadVectors, type ManifestEntry, unpackVector, type Vector, vectorFile } from "./load.ts"

const { signal } = new AbortController()
const secretKeyOf = (person: string): Uint8Array => fs.readFileSync(vectorFile(`keys/${person}.secret.asc`))

let folder = ""
let gnupg: GpgHome
before(async () => {
  assert.equal(process.getuid?.(), 0, "run these tests as root: they restore owners and devices")
  folder = fs.mkdtempSync(join(tmpdir(), "vectors-"))
  gnupg = await openGpgHome()
})
after(async () => {
  await gnupg[Symbol.asyncDispose]()
  fs.rmSync(folder, { recursive: true, force: true })
})

interface Doors {
  readonly kind: "gpg" | "js"
  readonly keyring: boolean
}

/** Reads the vector's run as an operator does, or (`keyring`) as a holder at the archive. */
async function read(vector: Vector, archive: string, to: string, doors: Doors): Promise<RestoreResult> {
  const reader = directoryStore(archive)
  const verifier = doors.kind === "gpg" ? gpgVerifier(gnupg) : jsVerifier()
  const opener = doors.kind === "gpg" ? gpgPassphraseOpener(gnupg) : jsPassphraseOpener()
  const trust = await loadTrust({ reader, verifier, admin: vector.admin, home: memoryInMemory(), signal })
  const all = await readRuns(trust, reader, vector.source, signal)
  const run = selectRun(all, vector.run)
  const runs = usedRuns(run, all.runs)
  const { secrets, releases, who } = doors.keyring
    ? { secrets: await keyringSecrets(archive, [run, ...runs.values()]), releases: [], who: "anna" }
    : await releaseSecrets(vector, run, { trust, verifier })
  const sealed = await knownErasures(trust, reader, memoryInMemory(), signal)
  const erasing = await erasingFor({
    ...{ sealed, archive: trust.archive.archive, opener: jsPrivateOpener(secretKeyOf(who)) },
    ...{ run, releases, without: false, signal },
  })
  const view = { reader, opener, secrets, erasing, run, runs }
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  const target = dirTarget({ root: to, owner: true, devices: true, setId: true })
  return await restore({ view, plan, target, what: vector.run, onEvent: () => undefined, signal })
}

async function releaseSecrets(
  vector: Vector,
  run: RunView,
  given: Pick<Parameters<typeof openRelease>[0], "trust" | "verifier">,
): Promise<{ secrets: Secrets; releases: Release[]; who: string }> {
  const { operator, created } = releaseCodec.decode(fs.readFileSync(vectorFile(vector.release)), vector.release)
  const object = vector.release.replace(/\.json$/, ".gpg")
  const { secrets, release } = await openRelease({
    message: fs.readFileSync(vectorFile(object)),
    opener: jsPrivateOpener(secretKeyOf("olga")),
    now: new Date(created),
    ...given,
    ...{ object, run, operator, signal },
  })
  return { secrets, releases: [release], who: "olga" }
}

async function keyringSecrets(archive: string, runs: readonly RunView[]): Promise<Secrets> {
  const opener = jsPrivateOpener(secretKeyOf("anna"))
  const keys = new Map<string, string>()
  for (const { source, run, receipt } of runs) {
    const object = names.runDirectory(source, run) + names.key
    const sealed = await readObject(directoryStore(archive), object, signal)
    assert.ok(sealed !== null, `${object} is there`)
    const text = decodeRunKey(await opener.open(sealed, object, signal), object)
    const { archive: id, source: of, run: which, key } = text
    if (id !== receipt.archive || of !== source || which !== run || checkValue(key) !== receipt.check)
      throw new BackupError("refused", `${object}: holds another key than the receipt says`)
    keys.set(run, key)
  }
  return {
    passphraseFor(run, base) {
      const key = keys.get(run)
      return key === undefined ? null : derivedPassphrase(key, run, base)
    },
  }
}

const typeOf = (stats: fs.BigIntStats): string => {
  if (stats.isFile()) return "f"
  if (stats.isDirectory()) return "d"
  if (stats.isSymbolicLink()) return "l"
  if (stats.isFIFO()) return "p"
  if (stats.isBlockDevice()) return "b"
  return stats.isCharacterDevice() ? "c" : "s"
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
const encoded = (path: string): string => (path === "-" ? "%2D" : percentEncode(path))
const native = (path: string): Buffer => Buffer.from(path, "latin1")

/** Everything below `root` in the terms of a manifest, by encoded path, and which inode each name has. */
function listed(root: string): { entries: Map<string, Omit<ManifestEntry, "error">>; inodes: Map<string, bigint> } {
  const entries = new Map<string, Omit<ManifestEntry, "error">>()
  const inodes = new Map<string, bigint>()
  const visit = (path: string): void => {
    const full = native(path === "." ? root : `${root}/${path}`)
    const stats = fs.lstatSync(full, { bigint: true })
    const type = typeOf(stats) as ManifestEntry["type"]
    const device = `${(stats.rdev >> 8n) & 0xfffn},${(stats.rdev & 0xffn) | ((stats.rdev >> 12n) & ~0xffn)}`
    inodes.set(encoded(path), stats.ino)
    entries.set(encoded(path), {
      path: encoded(path),
      type,
      mode: (Number(stats.mode) & 0o7777).toString(8).padStart(4, "0"),
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      mtime: timeField(stats.mtimeNs),
      size: type === "f" ? Number(stats.size) : 0,
      sha256: type === "f" ? sha256(fs.readFileSync(full)) : "-",
      link: type === "l" ? encoded(fs.readlinkSync(full, "buffer").toString("latin1")) : "-",
      device: type === "b" || type === "c" ? device : "",
    })
    if (type === "d")
      for (const name of fs.readdirSync(full, "buffer"))
        visit(path === "." ? name.toString("latin1") : `${path}/${name.toString("latin1")}`)
  }
  if (fs.existsSync(root)) visit(".")
  return { entries, inodes }
}

/** What cannot come back: sockets, what could not be looked at, files of which no content was read. */
const absent = (entry: ManifestEntry): boolean =>
  entry.type === "s" || entry.type === "u" || (entry.type === "f" && entry.sha256 === "-")

function inTree(entry: ManifestEntry): Omit<ManifestEntry, "error"> {
  const { path, type, mode, uid, gid, mtime, size, sha256: digest, link, device } = entry
  return { path, type, mode, uid, gid, mtime, size, sha256: digest, link, device }
}

function assertWhole(vector: Vector, to: string, result: RestoreResult): void {
  const manifest = loadManifest(vector)
  const { entries, inodes } = listed(to)
  const byPath = new Map(manifest.map((entry) => [entry.path, entry]))
  const expected = manifest
    .filter((entry) => !absent(entry))
    .map((entry) => {
      if (entry.type !== "h") return inTree(entry)
      assert.equal(inodes.get(entry.path), inodes.get(entry.link), `${entry.path} is another name of ${entry.link}`)
      const first = byPath.get(entry.link) ?? assert.fail(`${entry.link} is in the manifest`)
      return { ...inTree(first), path: entry.path }
    })
  const order = (list: Iterable<{ path: string }>) => [...list].sort((a, b) => (a.path < b.path ? -1 : 1))
  assert.deepEqual(order(entries.values()), order(expected))
  assert.deepEqual(result.lost, [])
  // The access list of `xattrs` lacks the group and the others, so setfacl refuses it, which the top is told of.
  const unset = byPath.has("xattrs") ? ["."] : []
  const reported = [
    ...manifest.filter((entry) => absent(entry) || entry.error !== "").map(({ path }) => path),
    ...unset,
  ]
  assert.deepEqual(result.problems.map((each) => encoded(each.path)).toSorted(), reported.toSorted())
  const failures = [...manifest.filter((entry) => entry.error !== "").map((entry) => entry.path), ...unset]
  const unexpected = result.problems.filter((each) => !each.expected).map((each) => encoded(each.path))
  assert.deepEqual(unexpected.toSorted(), failures.toSorted())
}

/** Every file that is there, staged ones too, is one that the vector has whole. */
function assertNothingDamaged(vector: Vector, to: string): void {
  const { entries } = listed(to)
  if (vector.manifest === "") {
    assert.deepEqual([...entries.keys()], [], "nothing was written")
    return
  }
  const manifest = loadManifest(vector)
  for (const path of vector.lost) {
    assert.ok(
      manifest.some((entry) => entry.path === path),
      `${path} is in the manifest`,
    )
    assert.equal(entries.has(path), false, `${path} is damaged and has no name`)
  }
  const whole = new Set(manifest.filter(({ path }) => !vector.lost.includes(path)).map((entry) => entry.sha256))
  for (const { path, type, sha256: digest } of entries.values())
    if (type === "f") assert.ok(whole.has(digest), `${path} has the content of an intact file`)
}

const vectors = loadVectors()

describe("good vectors come back whole", () => {
  const good = vectors.filter((vector) => vector.expect === "success")
  for (const vector of good) {
    const ways: Doors[] = [
      { kind: "gpg", keyring: false },
      { kind: "js", keyring: true },
    ]
    for (const doors of ways) {
      const how = `${doors.kind}, ${doors.keyring ? "with a holder's key" : "with a release"}`
      test(`${vector.name}: ${vector.reason}: ${how}`, async () => {
        const place = join(folder, `${vector.name}-${doors.kind}-${doors.keyring}`)
        unpackVector(vector, join(place, "archive"))
        const to = join(place, "to")
        const result = await read(vector, join(place, "archive"), to, doors)
        assertWhole(vector, to, result)
      })
    }
  }
})

describe("bad vectors end with their fault", () => {
  const bad = vectors.filter((vector) => vector.expect !== "success")
  for (const vector of bad) {
    test(`${vector.name}: ${vector.reason}`, async () => {
      const place = join(folder, vector.name)
      unpackVector(vector, join(place, "archive"))
      const to = join(place, "to")
      const keyring = vector.opens === "keyring" || vector.release === ""
      await assert.rejects(read(vector, join(place, "archive"), to, { kind: "js", keyring }), (error: unknown) => {
        assert.ok(error instanceof BackupError, String(error))
        assert.equal(error.fault, vector.expect, error.message)
        return true
      })
      assertNothingDamaged(vector, to)
    })
  }
})

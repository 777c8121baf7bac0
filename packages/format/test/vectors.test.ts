// The vectors were written from docs/format.md by another program; our code must read them the same way.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash, createHmac } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { loadManifest, loadVectors, unpackVector, vectorFile } from "../../../vectors/load.ts"
import {
  archiveCodec,
  type CatalogueEntry,
  type ChunkRef,
  checkValue,
  chunkKey,
  cutTable,
  decodeRoot,
  decodeSums,
  derivedPassphrase,
  encodeEntry,
  names,
  parseObjectLine,
  percentEncode,
  policyCodec,
  readCatalogue,
  receiptCodec,
  releaseCodec,
  statePassphrase,
  unpackVolume,
} from "../src/index.ts"
import { refused } from "./samples.ts"

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
const json = (name: string): unknown => JSON.parse(readFileSync(vectorFile(name), "utf8"))

interface Keys {
  readonly secret: string
  readonly chunk_key: string
  readonly cut_table_first: readonly number[]
  readonly cut_table_sha256: string
  readonly chunks: readonly { readonly hex: string; readonly id: string }[]
  readonly state: readonly { readonly run: string; readonly base: string; readonly passphrase: string }[]
  readonly runs: readonly {
    readonly run: string
    readonly key: string
    readonly check: string
    readonly passphrases: readonly { readonly base: string; readonly passphrase: string }[]
  }[]
}

describe("keys.json", () => {
  const keys = json("keys.json") as Keys
  const secret = Buffer.from(keys.secret, "hex")
  test("what comes of a source's secret", () => {
    const table = cutTable(secret)
    assert.equal(Buffer.from(chunkKey(secret)).toString("hex"), keys.chunk_key)
    assert.deepEqual([...table.subarray(0, keys.cut_table_first.length)], keys.cut_table_first)
    const bytes = Buffer.alloc(1024)
    table.forEach((n, i) => bytes.writeUInt32LE(n, 4 * i))
    assert.equal(hash(bytes), keys.cut_table_sha256)
    assert.ok(keys.chunks.length > 0 && keys.state.length > 0)
    for (const { hex, id } of keys.chunks)
      assert.equal(createHmac("sha256", chunkKey(secret)).update(hex, "hex").digest("hex"), id)
    for (const { run, base, passphrase } of keys.state) assert.equal(statePassphrase(secret, run, base), passphrase)
  })
  test("what comes of a run key", () => {
    assert.ok(keys.runs.length > 0)
    for (const { run, key, check, passphrases } of keys.runs) {
      assert.equal(checkValue(key), check)
      assert.ok(passphrases.length > 0)
      for (const { base, passphrase } of passphrases) assert.equal(derivedPassphrase(key, run, base), passphrase)
    }
  })
})

/** Reads all of a run that the format alone can judge: documents, sums, root, catalogue, volumes. */
async function readRun(archive: string, source: string, run: string, release: string): Promise<CatalogueEntry[]> {
  const read = (name: string): Buffer => readFileSync(join(archive, name))
  archiveCodec.decode(read("archive.json"), "archive.json")
  for (const name of readdirSync(join(archive, "config")))
    if (name.endsWith(".json")) policyCodec.decode(read(`config/${name}`), name)
  const { secrets } = releaseCodec.decode(readFileSync(vectorFile(release)), release)
  const secret = new Map(secrets.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(-64)]))

  const open = (of: string, base: string): Buffer => {
    const key = secret.get(`${of} key.gpg`)
    const passphrase = secret.get(`${of} ${base}`) ?? derivedPassphrase(key ?? "", of, base)
    const path = join(archive, names.runDirectory(source, of), base)
    const options = ["--homedir", home, "--batch", "--quiet", "--no-options", "--pinentry-mode", "loopback"]
    const result = spawnSync("gpg", [...options, "--passphrase-fd", "0", "--decrypt", path], {
      input: passphrase,
      maxBuffer: 2 ** 27,
    })
    assert.equal(result.status, 0, result.stderr.toString())
    return result.stdout
  }
  const volumes = new Map<string, Map<string, Buffer>>()
  const chunk = async (base: (n: number) => string, ref: ChunkRef): Promise<Buffer> => {
    const name = `${ref.run}/${base(ref.volume)}`
    let members = volumes.get(name)
    if (members === undefined) {
      members = new Map(
        (await unpackVolume(open(ref.run, base(ref.volume)), name)).map((member) => [member.id, member.bytes]),
      )
      volumes.set(name, members)
    }
    const bytes = members.get(ref.id)
    assert.equal(bytes?.length, ref.length)
    return bytes
  }

  let highest = 0
  const directory = names.runDirectory(source, run)
  for (const name of readdirSync(join(archive, directory))) {
    if (/^SHA256SUMS-\d+$/.test(name)) {
      highest = Math.max(highest, Number(name.slice(-4)))
      decodeSums(read(directory + name), name)
    }
    if (!name.startsWith("receipt-")) continue
    const receipt = receiptCodec.decode(read(directory + name), name)
    for (const object of receipt.objects.map(parseObjectLine))
      if (!bad.has(archive)) assert.equal(hash(read(directory + object.name)), object.sha256)
  }
  const root = decodeRoot(open(run, names.root(highest)), names.root(highest))
  const pieces: Buffer[] = []
  for (const ref of root.catalogue.chunks) pieces.push(await chunk(names.catalogue, ref))
  assert.equal(hash(Buffer.concat(pieces)), root.catalogue.sha256)
  const entries: CatalogueEntry[] = []
  async function* text() {
    yield* pieces
  }
  for await (const entry of readCatalogue(text())) entries.push(entry)
  assert.equal(entries.length, root.entries)
  assert.equal(entries.map(encodeEntry).join(""), Buffer.concat(pieces).toString("latin1"))
  for (const entry of entries) {
    if (entry.sha256 === null) continue
    const content: Buffer[] = []
    for (const ref of entry.chunks) content.push(await chunk(names.volume, ref))
    assert.equal(hash(Buffer.concat(content)), entry.sha256)
  }
  return entries
}

let home = ""
const bad = new Set<string>()
before(() => {
  home = mkdtempSync(join(tmpdir(), "vec-"))
})
after(() => {
  spawnSync("gpgconf", ["--homedir", home, "--kill", "all"])
  rmSync(home, { recursive: true, force: true })
})

describe("archives", () => {
  const vectors = loadVectors()
  const good = vectors.filter((vector) => vector.expect === "success")
  /** Those whose fault is in the form of a single object. */
  const ofForm =
    /^(?:volume-(?:.*-member|padding)|catalogue-.*|root-padding|receipt-(?:unsorted|not-canonical|extra-member)|sums-.*)$/
  const malformed = vectors.filter((vector) => ofForm.test(vector.name))
  test("there are some of both kinds", () => {
    assert.ok(good.length >= 5, `${good.length} good`)
    assert.ok(malformed.length >= 15, `${malformed.length} malformed`)
  })
  for (const vector of good) {
    test(`${vector.name}: ${vector.reason}`, async () => {
      const archive = join(home, vector.name)
      unpackVector(vector, archive)
      const entries = await readRun(archive, vector.source, vector.run, vector.release)
      const found = entries.map((entry) => ({
        path: entry.path === "-" ? "%2D" : percentEncode(entry.path),
        type: entry.type,
        mode: entry.mode.toString(8).padStart(4, "0"),
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        size: entry.size,
        sha256: entry.sha256 ?? "-",
        link: entry.link === null ? "-" : entry.link === "-" ? "%2D" : percentEncode(entry.link),
        device: entry.attributes.get("device") ?? "",
        error: entry.attributes.get("error") ?? "",
      }))
      assert.deepEqual(found, loadManifest(vector))
    })
  }
  for (const vector of malformed) {
    test(`${vector.name}: ${vector.reason}: refused`, async () => {
      const archive = join(home, vector.name)
      bad.add(archive)
      unpackVector(vector, archive)
      await assert.rejects(readRun(archive, vector.source, vector.run, vector.release), (error: unknown) => {
        refused(() => {
          throw error as Error
        }, vector.name)
        return true
      })
    })
  }
})

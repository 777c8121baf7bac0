import assert from "node:assert/strict"
import { createHash, createHmac, createSecretKey, randomBytes } from "node:crypto"
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { cutTable } from "@backup-cloud/format"
import { LongHashes } from "../src/long-hashes.ts"
import { type FileEnd, LATER, SLOT } from "../src/messages.ts"
import { scan } from "../src/scan.ts"

const folder = mkdtempSync(join(tmpdir(), "bc-scan-"))
after(() => {
  rmSync(folder, { recursive: true })
})
const chunkKey = createSecretKey(new Uint8Array(32).fill(9))
const naming = { chunkKey, table: Int32Array.from(cutTable(new Uint8Array(32).fill(1))) }
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

interface Read {
  end: FileEnd | null
  readonly chunks: Buffer[]
}

/** Scans `files` and joins each one's chunks again; `between` is called after each piece. */
function read(files: readonly { file: string; size: number }[], between: () => void = () => {}): Read[] {
  const found: Read[] = files.map(() => ({ end: null, chunks: [] }))
  let last = false
  // One memory for all, so that a piece that needs the one before shows.
  const slot = { number: 7, bytes: Buffer.alloc(SLOT) }
  const hashes = new LongHashes()
  for (const piece of scan(files, naming, () => slot)) {
    assert.equal(piece.slot, 7)
    assert.equal(last, false, "nothing follows the last piece")
    last = piece.last
    let at = 0
    for (const part of piece.parts) {
      const of = found[part.file]
      assert.ok(of)
      for (const end = at + part.chunks; at < end; at++) {
        const offset = piece.offsets[at] ?? 0
        const bytes = Buffer.from(slot.bytes.subarray(offset, offset + (piece.lengths[at] ?? 0)))
        assert.equal(piece.ids[at], createHmac("sha256", chunkKey).update(bytes).digest("hex"))
        of.chunks.push(bytes)
      }
      const [digest] = part.unhashed === null ? [] : hashes.take(1, slot.bytes, [part.unhashed])
      assert.equal(part.end?.sha256 === LATER, digest !== undefined && part.end?.sha256 !== null)
      if (part.end !== null) of.end = digest === undefined ? part.end : { ...part.end, sha256: digest }
    }
    assert.equal(at, piece.ids.length, "every chunk belongs to a file")
    between()
  }
  assert.equal(last, true)
  return found
}

const KiB = 1024
const sizes = [0, 1, 4095, 4096, 256 * KiB - 1, 256 * KiB, 256 * KiB + 1, 4096 * KiB - 1, 4096 * KiB, 4096 * KiB + 1]
sizes.push(8192 * KiB - 1, 8192 * KiB, 8192 * KiB + 1, 20_000_000)

test("files of every edge's size come through whole, in one job", () => {
  const contents = sizes.map((size) => randomBytes(size))
  const files = contents.map((bytes, i) => {
    const file = join(folder, `edge-${i}`)
    writeFileSync(file, bytes)
    return { file, size: bytes.length }
  })
  for (const [i, { end, chunks }] of read(files).entries()) {
    const bytes = contents[i] ?? Buffer.alloc(0)
    assert.deepEqual({ ...end, stat: null }, { sha256: sha256(bytes), size: bytes.length, error: null, stat: null })
    assert.equal(sha256(Buffer.concat(chunks)), sha256(bytes))
    assert.ok(chunks.every((chunk) => chunk.length > 0 && chunk.length <= 4_194_304))
    assert.ok(chunks.slice(0, -1).every((chunk) => chunk.length >= 262_144))
  }
})

test("a job without files has one piece", () => {
  assert.deepEqual(read([]), [])
})

test("a file that is gone, or is no file any more, is reported and has no content", () => {
  const here = join(folder, "here")
  writeFileSync(here, "here")
  const [gone, folderNow, still] = read([
    { file: join(folder, "gone"), size: 5 },
    { file: folder, size: 5 },
    { file: here, size: 4 },
  ])
  assert.equal(gone?.end?.error, "ENOENT")
  assert.equal(folderNow?.end?.error, "replaced")
  for (const each of [gone, folderNow]) assert.equal(each.end?.sha256, null)
  assert.equal(still?.end?.sha256, sha256(Buffer.from("here")))
})

test("a large file that grows while it is read is stored as far as it was read, and called changed", () => {
  const file = join(folder, "grows")
  writeFileSync(file, randomBytes(9_000_000))
  let grown = false
  const [found] = read([{ file, size: 9_000_000 }], () => {
    if (!grown) appendFileSync(file, "more")
    grown = true
  })
  assert.equal(found?.end?.error, "changed")
  assert.equal(found.end.size, Buffer.concat(found.chunks).length)
  assert.equal(found.end.sha256, sha256(Buffer.concat(found.chunks)))
})

test("the same file, left alone, is not called changed", () => {
  const [found] = read([{ file: join(folder, "grows"), size: 9_000_004 }])
  assert.equal(found?.end?.error, null)
})

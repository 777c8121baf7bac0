// All objects of a listing in catalogue order. S3 lists by the bytes of keys, in which `a-b` comes before `a/b`; the
// catalogue takes `/` as byte 0. So everything is listed first, into blocks of memory outside of JavaScript's heap: about
// 45 bytes for each object and its key.

import { type BackupError, pathKey } from "@backup-cloud/format"
import { pathBeside, pathOfKey, pathOfVersion } from "./paths.ts"

/** What a list tells of an object or version. */
export interface Listed {
  /** Below the prefix, a byte string. */
  readonly key: string
  /** Bytes. */
  readonly size: number
  /** Milliseconds since 1970. */
  readonly modified: number
  /** Without quotes; `""` where the server has none. */
  readonly etag: string
  /** `""` where the server has none. */
  readonly storageClass: string
  /** `""` unless versions are listed. */
  readonly version: string
  /** True of a version that a newer one, or a delete marker, covers. */
  readonly old: boolean
}

export interface Row extends Listed {
  /** As in the catalogue. */
  readonly path: string
}

const BLOCK = 4_194_304
/** Lengths of path (2), key (2), version (2) and ETag (1); class and flags (1 each); size and time (6 each). */
const HEAD = 21
/** The ETag is 32 hex digits, kept as 16 bytes; the key is not the path. */
const FLAG = { old: 1, packedEtag: 2, ownKey: 4 } as const

/** Filled with `add`; iterated once `sort` was called. */
export class Table {
  readonly #most: number
  readonly #tooMany: () => BackupError
  readonly #blocks: Buffer[] = []
  /** Where the next record goes. */
  #end = 0
  /** Where each record begins, counted through all blocks. */
  #rows: number[] = []
  readonly #classes: string[] = []

  /** @param tooMany what `add` throws when there are more than `most` */
  constructor(most: number, tooMany: () => BackupError) {
    this.#most = most
    this.#tooMany = tooMany
  }

  get length(): number {
    return this.#rows.length
  }

  add(listed: Listed): void {
    if (this.#rows.length >= this.#most) throw this.#tooMany()
    const path = listed.old ? pathOfVersion(listed.key, listed.version) : pathOfKey(listed.key)
    this.#rows.push(this.#write({ ...listed, path }))
  }

  /** Brings the rows into catalogue order, and puts objects that have a folder's path inside that folder. */
  sort(): void {
    const compare = (a: number, b: number): number => this.#compare(a, b)
    // Keys come nearly in order, which makes this sort, but not that of typed arrays, take linear time.
    this.#rows.sort(compare)
    const rows = this.#rows
    const keep = rows.filter((row, i) => i === 0 || this.#compare(rows[i - 1] ?? 0, row) !== 0)
    let moved = false
    for (const [i, row] of keep.entries()) {
      const next = keep[i + 1]
      // What is inside a folder follows its path at once, since nothing is below byte 0.
      if (next === undefined || !this.#isBelow(next, row)) continue
      const found = this.#read(row)
      keep[i] = this.#write({ ...found, path: pathBeside(found.path) })
      moved = true
    }
    this.#rows = moved ? keep.sort(compare) : keep
  }

  *[Symbol.iterator](): Generator<Row, void, undefined> {
    for (const row of this.#rows) yield this.#read(row)
  }

  #write(row: Row): number {
    const ownKey = row.path !== row.key
    const key = ownKey ? row.key : ""
    const packed = /^[0-9a-f]{32}$/.test(row.etag)
    const flags = (row.old ? FLAG.old : 0) | (packed ? FLAG.packedEtag : 0) | (ownKey ? FLAG.ownKey : 0)
    const etagBytes = Buffer.from(row.etag, packed ? "hex" : "latin1")
    const length = HEAD + row.path.length + key.length + row.version.length + etagBytes.length
    if (this.#end + length > this.#blocks.length * BLOCK) {
      this.#end = this.#blocks.length * BLOCK
      this.#blocks.push(Buffer.allocUnsafeSlow(BLOCK))
    }
    const start = this.#end
    this.#end += length
    const { block, at } = this.#locate(start)
    block.writeUInt16LE(row.path.length, at)
    block.writeUInt16LE(key.length, at + 2)
    block.writeUInt16LE(row.version.length, at + 4)
    block.writeUInt8(etagBytes.length, at + 6)
    block.writeUInt8(this.#classNumber(row.storageClass), at + 7)
    block.writeUInt8(flags, at + 8)
    block.writeUIntLE(row.size, at + 9, 6)
    block.writeUIntLE(row.modified, at + 15, 6)
    let to = at + HEAD
    to += block.write(pathKey(row.path), to, "latin1")
    to += block.write(key, to, "latin1")
    to += block.write(row.version, to, "latin1")
    etagBytes.copy(block, to)
    return start
  }

  #read(start: number): Row {
    const { block, at } = this.#locate(start)
    let from = at + HEAD
    const text = (length: number): string => block.toString("latin1", from, (from += length))
    const path = text(block.readUInt16LE(at)).replaceAll("\0", "/")
    const key = text(block.readUInt16LE(at + 2))
    const version = text(block.readUInt16LE(at + 4))
    const etagBytes = block.subarray(from, from + block.readUInt8(at + 6))
    const flags = block.readUInt8(at + 8)
    return {
      path,
      key: (flags & FLAG.ownKey) === 0 ? path : key,
      size: block.readUIntLE(at + 9, 6),
      modified: block.readUIntLE(at + 15, 6),
      etag: etagBytes.toString((flags & FLAG.packedEtag) === 0 ? "latin1" : "hex"),
      storageClass: this.#classes[block.readUInt8(at + 7)] ?? "",
      version,
      old: (flags & FLAG.old) !== 0,
    }
  }

  #locate(start: number): { block: Buffer; at: number } {
    const block = this.#blocks[Math.floor(start / BLOCK)]
    if (block === undefined) throw new RangeError("no such row")
    return { block, at: start % BLOCK }
  }

  #compare(a: number, b: number): number {
    const [x, y] = [this.#locate(a), this.#locate(b)]
    const [xAt, yAt] = [x.at + HEAD, y.at + HEAD]
    return x.block.compare(y.block, yAt, yAt + y.block.readUInt16LE(y.at), xAt, xAt + x.block.readUInt16LE(x.at))
  }

  /** Whether the path of row `inner` is below that of row `outer`. */
  #isBelow(inner: number, outer: number): boolean {
    const [x, y] = [this.#locate(inner), this.#locate(outer)]
    const length = y.block.readUInt16LE(y.at)
    if (x.block.readUInt16LE(x.at) <= length || x.block[x.at + HEAD + length] !== 0) return false
    return x.block.compare(y.block, y.at + HEAD, y.at + HEAD + length, x.at + HEAD, x.at + HEAD + length) === 0
  }

  #classNumber(name: string): number {
    const found = this.#classes.indexOf(name)
    return found >= 0 ? found : this.#classes.push(name) - 1
  }
}

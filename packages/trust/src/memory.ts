// What a machine remembers of an archive in its home directory, so that a rollback is found out: whose signature it
// pinned, the highest policy and erasure, and the heads of each source's chain. One memory is about one archive.
//
// Two processes that write at once lose one another's addition, never the file; what was lost is seen again next time.

import { randomBytes } from "node:crypto"
import { mkdir, open, readFile, rename, rm } from "node:fs/promises"
import { dirname } from "node:path"
import { BackupError, FORMAT, patterns } from "@backup-cloud/format"
import * as v from "valibot"

const digest = v.pipe(v.string(), v.regex(patterns.digest))
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1))

const memorySchema = v.strictObject({
  format: v.literal(FORMAT),
  type: v.literal("memory"),
  /** Pinned fingerprint. */
  admin: v.pipe(v.string(), v.regex(patterns.fingerprint)),
  /** Archive id; `""` until the archive was seen. */
  archive: v.union([v.literal(""), v.pipe(v.string(), v.regex(patterns.archive))]),
  /** The highest policy seen or deployed with, and its digest (`""`: number known only); `null` before the first. */
  policy: v.nullable(v.strictObject({ number: positive, sha256: v.union([v.literal(""), digest]) })),
  /** By source: the heads of its chain when last looked at, with the digest of each one's highest SHA256SUMS. */
  heads: v.record(
    v.pipe(v.string(), v.regex(patterns.name)),
    v.array(v.strictObject({ run: v.pipe(v.string(), v.regex(patterns.run)), number: positive, sums: digest })),
  ),
  /** The last expiry list seen, with the digest of its file; absent before the first. */
  expiry: v.exactOptional(v.strictObject({ number: positive, sha256: digest })),
  /** The highest record of what must not come back, and the digest of the sealed object; absent before the first. */
  erasures: v.exactOptional(v.strictObject({ number: positive, sha256: digest })),
})
export type Memory = v.InferOutput<typeof memorySchema>
export type RememberedHead = Memory["heads"][string][number]

export interface TrustMemory {
  /** `null` if nothing was ever remembered. Throws `unavailable` if there is something that cannot be read. */
  read(): Promise<Memory | null>
  write(memory: Memory): Promise<void>
}

/** The memory of a machine that has just pinned `admin`. */
export function newMemory(admin: string): Memory {
  return { format: FORMAT, type: "memory", admin, archive: "", policy: null, heads: {} }
}

/** For tests, and for callers that have nowhere to remember. */
export function memoryInMemory(first: Memory | null = null): TrustMemory {
  let held = first
  return {
    async read() {
      return structuredClone(held)
    },
    async write(memory) {
      held = structuredClone(memory)
    },
  }
}

/** A memory kept in the file `path`, mode 0600, replaced whole and durably at each write. */
export function memoryFile(path: string): TrustMemory {
  return {
    async read() {
      let text: string
      try {
        text = await readFile(path, "utf8")
      } catch (cause) {
        if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null
        throw new BackupError("unavailable", `${path}: cannot be read`, { cause })
      }
      return decodeMemory(text, path)
    },
    async write(memory) {
      const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        const file = await open(temporary, "wx", 0o600)
        try {
          await file.writeFile(encodeMemory(memory))
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(temporary, path)
        const directory = await open(dirname(path), "r")
        await directory.sync().finally(() => directory.close())
      } catch (cause) {
        await rm(temporary, { force: true })
        throw new BackupError("unavailable", `${path}: what this machine remembers could not be written`, { cause })
      }
    },
  }
}

export function encodeMemory(memory: Memory): string {
  return `${JSON.stringify(memory, null, 2)}\n`
}

/** What `encodeMemory` made. Throws `unavailable` for anything else. @param path where it is, for the message */
export function decodeMemory(text: string, path: string): Memory {
  try {
    return v.parse(memorySchema, JSON.parse(text))
  } catch (cause) {
    // Starting anew in silence would accept the rollback that the memory is there to find.
    throw new BackupError("unavailable", `${path}: is not what this program wrote`, {
      cause,
      hint: "restore the file from a copy, or pin the administrator again with `backup-cloud trust`",
    })
  }
}

// Restores entries as objects below a prefix of a bucket, with metadata, headers, tags and storage class. Content is staged
// (staging.ts) and becomes an object when it is whole. Nothing that is there is overwritten unless that was asked for: the
// server refuses it, too. An object gets the key it had below the source's prefix; older versions become objects below
// `.s3-versions/`, named by version.
//
// Not promised: owner, access lists and lock of an object, its time (S3 sets it), version ids; and what is no object: links,
// devices, folders without content.

import { createHash, hash } from "node:crypto"
import {
  BackupError,
  type CatalogueEntry,
  EntryError,
  escapeControl,
  fromByteString,
  type Target,
  type TargetProblem,
  toByteString,
} from "@backup-cloud/format"
import { openedAttributes } from "./attributes.ts"
import { type Bucket, checkPlace, fullKey, openBucket, type S3Place } from "./bucket.ts"
import { checkEncryption, defaultEncryption, type Encryption } from "./encryption.ts"
import { answerOf, placeFault } from "./faults.ts"
import { firstKeys, joinObjects, putObject, removeObject } from "./objects.ts"
import { Reader } from "./read.ts"
import { Staging } from "./staging.ts"
import { expiresOf, isSame, uploadHeaders } from "./upload.ts"

export interface S3TargetOptions extends S3Place {
  /** Go below a prefix that holds other objects. They are kept; one that differs from what it should be is a `conflict`. */
  readonly intoExisting?: boolean
  /** As `intoExisting`, and objects that differ are overwritten. */
  readonly overwrite?: boolean
  /** For all objects, in place of the bucket's default. */
  readonly encryption?: Encryption
  /** Let objects lie less well encrypted than their originals did. */
  readonly allowWeakerEncryption?: boolean
  /** For all objects, in place of the one each had. What goes to an archive class cannot be read again and compared. */
  readonly storageClass?: string
}

const STAGING = ".backup-cloud-restore-"
const EMPTY = hash("sha256", "")

/** A target below a prefix. One restore each. Throws `usage` for a place without a bucket. */
export function s3Target(options: S3TargetOptions): Target {
  checkPlace(options)
  return new S3Target(options)
}

class S3Target implements Target {
  readonly #options: S3TargetOptions
  readonly #problems: TargetProblem[] = []
  /** `own` is the key of the staging folder. */
  #opened: { readonly bucket: Bucket; readonly own: string; readonly staging: Staging } | null = null
  #encryption: Promise<string> | null = null
  /** Whether there may be objects already. */
  #shared = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: S3TargetOptions) {
    this.#options = options
  }

  async begin(what: string, signal: AbortSignal): Promise<void> {
    const bucket = await openBucket(this.#options)
    const own = `${bucket.top}${STAGING}${hash("sha256", what).slice(0, 16)}/`
    const first = async (prefix: string, after = ""): Promise<string | null> =>
      (await firstKeys(bucket, bucket.top + prefix, after, 1, signal))[0] ?? null
    try {
      const staged = await first(STAGING)
      if (staged !== null && !staged.startsWith(own))
        throw new BackupError("conflict", `${bucket.url}: an interrupted restore of something else is there`, {
          hint: `restore to another prefix, or remove ${staged.slice(0, staged.lastIndexOf("/") + 1)} and what it brought`,
        })
      const { intoExisting = false, overwrite = false } = this.#options
      // Before the staging folder, or behind it.
      this.#shared = (await first("")) !== staged || (await first("", `${bucket.top}${STAGING}\u{10ffff}`)) !== null
      if (this.#shared && staged === null && !intoExisting && !overwrite)
        throw new BackupError("conflict", `${bucket.url}: holds objects already; nothing was restored`, {
          hint: "name a prefix without any, or say that it may go into an existing one",
        })
      this.#opened = { bucket, own, staging: new Staging(bucket, own, this.#sse()) }
      await putObject(bucket, `${own}begun`, Buffer.alloc(0), EMPTY, this.#sse(), signal)
    } catch (error) {
      throw placeFault(bucket.url, error, signal)
    }
  }

  async has(entry: CatalogueEntry, signal: AbortSignal): Promise<boolean> {
    const { bucket } = this.#open()
    // What can have no key is refused before anything is written.
    keyOf(entry)
    const { allowWeakerEncryption = false, encryption } = this.#options
    if (!allowWeakerEncryption && entry.attributes.has("s3.sse")) {
      this.#encryption ??=
        encryption === undefined ? defaultEncryption(bucket, signal) : Promise.resolve(encryption.kind)
      checkEncryption(entry, await this.#encryption, encryption === undefined ? `s3://${bucket.name}` : "this restore")
    }
    if (!this.#shared) return false
    const there = await this.#look(entry, signal)
    if (there !== "other") return there === "same"
    if (this.#options.overwrite === true) return false
    throw new BackupError("conflict", `${shown(entry)}: something else with this key is there already`, {
      hint: "nothing was overwritten; restore to another prefix",
    })
  }

  /** What has the entry's key: nothing, an object with its content, headers and metadata, or another one. */
  async #look(entry: CatalogueEntry, signal: AbortSignal): Promise<"nothing" | "same" | "other"> {
    const { bucket } = this.#open()
    const { sdk, client, name } = bucket
    try {
      const command = new sdk.HeadObjectCommand({ Bucket: name, Key: fullKey(bucket, keyOf(entry)) })
      const head = await client.send(command, { abortSignal: signal })
      if (head.ContentLength !== entry.size || !isSame(entry, openedAttributes(head))) return "other"
      const digest = createHash("sha256")
      for await (const piece of this.#restored(entry, signal)) digest.update(piece)
      return digest.digest("hex") === entry.sha256 ? "same" : "other"
    } catch (error) {
      if (answerOf(error).status === 404) return "nothing"
      throw placeFault(shown(entry), error, signal)
    }
  }

  async write(entry: CatalogueEntry, offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { staging } = this.#open()
    await this.#inTurn(() => staging.write(entry, offset, bytes, signal))
  }

  async *read(entry: CatalogueEntry, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const { staging } = this.#open()
    if (!staging.holds(entry.path)) yield* this.#restored(entry, signal)
    else for (const part of staging.parts(entry.path)) yield await this.#inTurn(() => staging.fetch(part, signal))
  }

  async *#restored(entry: CatalogueEntry, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = new Reader(this.#open().bucket, { versions: false, tags: false })
    const object = { key: keyOf(entry), size: entry.size, modified: 0, storageClass: "" }
    try {
      const { bytes } = await reader.open({ ...object, etag: "", version: "", old: false }, signal)
      yield* bytes
    } catch (error) {
      if (!(error instanceof EntryError)) throw error
      // Without the right to read, nothing is known of it.
      const fault = error.word === "EACCES" ? "refused" : "differs"
      throw new BackupError(fault, `${shown(entry)}: what was restored cannot be read back: ${error.word}`, {
        cause: error,
        hint: "look at the rights, the storage class and who else writes to the bucket",
      })
    }
  }

  async commit(entry: CatalogueEntry, signal: AbortSignal): Promise<void> {
    const { staging } = this.#open()
    await this.#inTurn(async () => {
      try {
        await this.#upload(entry, signal)
      } catch (error) {
        // The SDK sends a request again if it was not answered, and then meets what the first one made.
        const { code, status } = answerOf(error)
        const perhapsDone = status === 412 || code === "NoSuchUpload"
        if (!perhapsDone || (await this.#look(entry, signal)) !== "same") throw placeFault(shown(entry), error, signal)
      }
      await staging.release(entry.path, signal)
    })
    this.#tellLosses(entry)
  }

  async #upload(entry: CatalogueEntry, signal: AbortSignal): Promise<void> {
    const { bucket, staging } = this.#open()
    const once = this.#options.overwrite === true ? {} : { IfNoneMatch: "*" }
    const headers = { ...uploadHeaders(entry, this.#options.storageClass), ...this.#sse(), ...once }
    const key = fullKey(bucket, keyOf(entry))
    const parts = staging.parts(entry.path)
    const [first] = parts
    if (parts.length > 1) {
      const keys = parts.map((part) => part.key)
      await joinObjects(bucket, key, keys, headers, signal)
      return
    }
    const body = first === undefined ? Buffer.alloc(0) : await staging.load(first, signal)
    await putObject(bucket, key, body, entry.sha256 ?? EMPTY, headers, signal)
  }

  #sse() {
    const { encryption } = this.#options
    if (encryption === undefined) return {}
    const { kind, key } = encryption
    return { ServerSideEncryption: kind, ...(key === undefined ? {} : { SSEKMSKeyId: key }) }
  }

  #tellLosses(entry: CatalogueEntry): void {
    const { path, attributes } = entry
    if (attributes.has("s3.expires") && expiresOf(entry) === null)
      this.#problems.push({ path, why: "its Expires header was not restored: it is no date", expected: false })
    const missing = attributes.get("s3.missing-meta")
    if (missing !== undefined)
      this.#problems.push({ path, why: `S3 did not show ${missing} of its metadata to the backup`, expected: true })
  }

  async discard(entry: CatalogueEntry): Promise<void> {
    const { staging } = this.#open()
    const { signal } = new AbortController()
    await this.#inTurn(() => staging.release(entry.path, signal))
  }

  async make({ type, path }: CatalogueEntry): Promise<void> {
    if (type === "d") return
    const absent = type === "f" || type === "u"
    const why = absent ? "it is not in the backup" : "a bucket has no links, sockets, pipes or devices"
    this.#problems.push({ path, why, expected: type === "s" })
  }

  async finish(signal: AbortSignal): Promise<readonly TargetProblem[]> {
    const { bucket, own } = this.#open()
    try {
      for (;;) {
        const left = await firstKeys(bucket, own, "", 1000, signal)
        if (left.length === 0) return this.#problems
        for (const key of left) await removeObject(bucket, key, signal)
      }
    } catch (error) {
      throw placeFault(own, error, signal)
    }
  }

  /** Staging is one thing for all entries. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => undefined)
    return await turn
  }

  #open() {
    if (this.#opened === null) throw new RangeError("the restore has not begun")
    return this.#opened
  }
}

/** Below the prefix, a byte string. Throws `refused` for what cannot be a key. */
function keyOf(entry: CatalogueEntry): string {
  const { attributes, path } = entry
  const key = attributes.has("s3.old") ? path : (attributes.get("s3.key") ?? path)
  if (key.startsWith(STAGING))
    throw new BackupError("refused", `${shown(entry)}: is where restores keep what is not whole; not restored`, {
      hint: "leave it out: it was left by a restore that was interrupted",
    })
  if (toByteString(Buffer.from(key, "latin1").toString("utf8")) === key) return key
  throw new BackupError("refused", `${shown(entry)}: its name is not UTF-8, as keys must be; not restored`, {
    hint: "restore it into a directory",
  })
}

const shown = ({ path }: CatalogueEntry): string => escapeControl(fromByteString(path))

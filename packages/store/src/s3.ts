// An archive in a bucket of S3 or of a server that speaks its protocol. Creates are conditional (`If-None-Match: *`), so
// the server refuses to overwrite; each body goes with its SHA-256, in the signature and as a checksum, so a server that
// checks either refuses one that was damaged on its way.
//
// `stat` asks a list rather than the object: it then tells an absent object from a missing bucket, and a backup process
// may do it without any right to read sealed objects. Nothing is tried twice here: see `retrying`. The SDK is loaded by
// the first call, since it costs more time than most commands.
//
// Not promised: what a bucket without versions and Object Lock, or a server that ignores the condition, can't keep
// (`probe` finds out which); objects larger than one request (an archive has none above 64 MiB).

import { BackupError } from "@backup-cloud/format"
import { answerOf, awsFault } from "./aws-faults.ts"
import { type Body, temporarySpool } from "./body.ts"
import { checkRange } from "./bytes.ts"
import { checkDigest, checkName } from "./names.ts"
import type { ListOptions, ObjectInfo, ObjectVersion, Promises, ReadOptions, Store } from "./ports.ts"
import { type Bucket, connect, keysOf, type S3Options } from "./s3-client.ts"
import { createS3 } from "./s3-create.ts"
import { probeS3 } from "./s3-probe.ts"
import { removeVersions, versionsOf } from "./s3-versions.ts"

export function s3Store(options: S3Options): Store {
  const { bucket } = options
  const { key, nameOf } = keysOf(options)
  const query = options.endpoint === undefined ? "" : `?endpoint=${encodeURIComponent(options.endpoint)}`
  let opened: Promise<Bucket> | undefined
  const open = (): Promise<Bucket> => (opened ??= connect(options))

  const stat = async (name: string, signal: AbortSignal): Promise<ObjectInfo | null> => {
    signal.throwIfAborted()
    checkName(name)
    const { sdk, client } = await open()
    try {
      // The name itself comes first of all that begin with it.
      const input = { Bucket: bucket, Prefix: key(name), MaxKeys: 1 }
      const { Contents = [] } = await client.send(new sdk.ListObjectsV2Command(input), { abortSignal: signal })
      return Contents[0]?.Key === key(name) ? infoOf(name, Contents[0]) : null
    } catch (error) {
      throw awsFault(name, error, signal)
    }
  }

  return {
    url: `s3://${bucket}/${key("").slice(0, -1)}${query}`,
    stat,

    async *read(name: string, signal: AbortSignal, range: ReadOptions = {}): AsyncGenerator<Uint8Array> {
      signal.throwIfAborted()
      checkName(name)
      checkRange(name, range)
      const { start = 0, end, version = "" } = range
      if (start === end) {
        if ((await stat(name, signal)) === null) throw new BackupError("not-found", `${name}: it is not there`)
        return
      }
      const { sdk, client } = await open()
      try {
        const input = {
          Bucket: bucket,
          Key: key(name),
          ...(start > 0 || end !== undefined ? { Range: `bytes=${start}-${end === undefined ? "" : end - 1}` } : {}),
          ...(version === "" ? {} : { VersionId: version }),
        }
        const { Body, ContentLength } = await client.send(new sdk.GetObjectCommand(input), { abortSignal: signal })
        let read = 0
        for await (const piece of (Body ?? []) as AsyncIterable<Uint8Array>) {
          signal.throwIfAborted()
          read += piece.length
          yield piece
        }
        if (read !== ContentLength) throw new BackupError("unavailable", `${name}: the body ended at byte ${read}`)
      } catch (error) {
        // "Range not satisfiable": it starts at the object's end or beyond.
        if (answerOf(error).status === 416) return
        throw awsFault(name, error, signal)
      }
    },

    async *list(prefixName: string, signal: AbortSignal, { after }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
      const { sdk, client } = await open()
      let token: string | undefined
      do {
        signal.throwIfAborted()
        const input = {
          Bucket: bucket,
          Prefix: key(prefixName),
          ...(after === undefined ? {} : { StartAfter: key(after) }),
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }
        const page = await client
          .send(new sdk.ListObjectsV2Command(input), { abortSignal: signal })
          .catch((error: unknown) => {
            throw awsFault(prefixName, error, signal)
          })
        for (const item of page.Contents ?? []) {
          const found = item.Key ?? ""
          // Some consoles mark a folder with an empty object of its name; an archive has no such thing.
          if (!found.endsWith("/")) yield infoOf(nameOf(found), item)
        }
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined
        if (page.IsTruncated === true && token === undefined) {
          throw new BackupError("unavailable", `${prefixName}: the server cut its list short`)
        }
      } while (token !== undefined)
    },

    async versions(name: string, signal: AbortSignal): Promise<readonly ObjectVersion[]> {
      signal.throwIfAborted()
      checkName(name)
      return await versionsOf(await open(), name, signal)
    },

    async create(name: string, body: Body, sha256: string, signal: AbortSignal): Promise<ObjectInfo> {
      signal.throwIfAborted()
      checkName(name)
      checkDigest(name, sha256)
      if (options.unconditional !== true) return await createS3(await open(), name, body, sha256, true, signal)
      if ((await stat(name, signal)) !== null) throw new BackupError("conflict", `${name}: it exists already`)
      return await createS3(await open(), name, body, sha256, false, signal)
    },

    spool: temporarySpool,

    async remove(name: string, signal: AbortSignal): Promise<void> {
      signal.throwIfAborted()
      checkName(name)
      await removeVersions(await open(), name, signal)
    },

    async probe(signal: AbortSignal): Promise<Promises> {
      return await probeS3(await open(), signal)
    },
  }
}

/** The parts of a listed object or version; throws `unavailable` where the server left one out. */
function infoOf(name: string, item: { Size?: number | undefined; LastModified?: Date | undefined }): ObjectInfo {
  if (item.Size === undefined || item.LastModified === undefined) {
    throw new BackupError("unavailable", `${name}: the server's list lacks its size or time`)
  }
  return { name, size: item.Size, arrived: item.LastModified }
}

// Buckets of moto's for the tests, each seen through a proxy of its own, and what a source finds in one.

import { after, before } from "node:test"
import {
  CreateBucketCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
} from "@aws-sdk/client-s3"
import type { Source, SourceEntry } from "@backup-cloud/format"
import { signal } from "../../store/test/helpers.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { type S3Place } from "../src/index.ts"
import { type Proxy, startProxy } from "./proxy.ts"

export interface TestBucket {
  readonly place: S3Place
  readonly proxy: Proxy
  readonly client: S3Client
  /** @param key in the bucket, not below the place's prefix */
  readonly put: (key: string, body: string | Uint8Array, more?: Partial<PutObjectCommandInput>) => Promise<void>
}

let moto: Moto
let client: S3Client
let count = 0
const proxies: Proxy[] = []

/** Call once at the top of a test file: starts the server before its tests and ends it after. */
export function useMoto(): { readonly moto: () => Moto; readonly makeBucket: typeof makeBucket } {
  before(async () => {
    moto = await startMoto()
    const place = { endpoint: moto.endpoint, region: "us-east-1", forcePathStyle: true, credentials: anybody }
    client = new S3Client({ ...place, requestChecksumCalculation: "WHEN_REQUIRED" })
  })
  after(async () => {
    client.destroy()
    for (const proxy of proxies) await proxy.close()
    await moto.close()
  })
  return { moto: () => moto, makeBucket }
}

async function makeBucket({ prefix = "", versions = false } = {}): Promise<TestBucket> {
  const bucket = `bucket-${++count}`
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  if (versions) {
    const VersioningConfiguration = { Status: "Enabled" } as const
    await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }))
  }
  const proxy = await startProxy(moto.endpoint)
  proxies.push(proxy)
  return {
    ...{ proxy, client },
    place: { bucket, prefix, endpoint: proxy.endpoint, credentials: anybody },
    async put(key, body, more = {}) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, ...more }))
    },
  }
}

export interface Found {
  readonly entry: SourceEntry
  /** With those that are known only once it is open. */
  readonly attributes: Readonly<Record<string, string>>
  /** The content; or, of one that could not be had, the word. */
  readonly content: Buffer | string
}

/** Everything a source yields, the folders left out, by path. */
export async function readAll(source: Source): Promise<Map<string, Found>> {
  const found = new Map<string, Found>()
  for await (const batch of source.entries(signal))
    for (const entry of batch) if (entry.type === "f") found.set(entry.path, await read(entry))
  return found
}

async function read(entry: SourceEntry): Promise<Found> {
  if (entry.content?.kind !== "stream") throw new Error(`${entry.path} is no stream`)
  const pieces: Uint8Array[] = []
  try {
    const { attributes, bytes } = await entry.content.open(signal)
    for await (const piece of bytes) pieces.push(Uint8Array.from(piece))
    const all = Object.fromEntries([...entry.attributes, ...attributes])
    return { entry, attributes: all, content: Buffer.concat(pieces) }
  } catch (error) {
    if (!(error instanceof Error && error.name === "EntryError" && "word" in error)) throw error
    return { entry, attributes: Object.fromEntries(entry.attributes), content: String(error.word) }
  }
}

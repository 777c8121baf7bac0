// What a bucket is set to and who asks, as questions with the caller's own rights: for `doctor`. Nothing is tried, since what
// should be refused could do harm where it is not.
//
// Not promised: that the account enforces what it is set to.

import type * as Sdk from "@aws-sdk/client-s3"
import { answerOf, awsFault } from "./aws-faults.ts"
import type { Promises } from "./ports.ts"
import { type Bucket, clientSettings, connect, type S3Options } from "./s3-client.ts"
import { defaultLock, versioning } from "./s3-probe.ts"
import { type Environment, s3Place } from "./url.ts"

/** What a question gave: its answer, or why there is none. */
export type Answer<T> = { readonly value: T } | { readonly unasked: "no right" | "not known to the server" }

export interface BucketSettings {
  readonly bucket: string
  readonly versioning: Answer<boolean>
  /** What a new object gets by itself; `null` for no lock. */
  readonly lock: Answer<Promises["lock"]>
  /** Of the four blocks of public access those that are not on. */
  readonly open: Answer<readonly string[]>
  /** Algorithm of the encryption by default; `null` for none. */
  readonly encryption: Answer<string | null>
  /** The bucket's policy, JSON; `null` for none. */
  readonly policy: Answer<string | null>
  /** Days after which the parts of an upload that was broken off go; `null` for never. */
  readonly uploads: Answer<number | null>
  /** ARN of who asks. */
  readonly caller: Answer<string>
  /** Milliseconds by which the server's clock is ahead of `now`, to a second; `null` where it does not tell its time. */
  readonly ahead: number | null
}

const BLOCKS = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"] as const

/** Throws as a store does, and `usage` for a directory. @param url as `openStore` takes it */
export async function bucketSettings(
  url: string,
  env: Environment,
  now: () => Date,
  signal: AbortSignal,
): Promise<BucketSettings> {
  const place = await s3Place(url, env, signal)
  const bucket = await connect(place)
  const ahead = clockOf(bucket.client, now)
  const ask = async <T>(absent: T, question: (of: Bucket, signal: AbortSignal) => Promise<T>): Promise<Answer<T>> => {
    try {
      return { value: await question(bucket, signal) }
    } catch (error) {
      const { code, status } = answerOf(error)
      if (status === 403) return { unasked: "no right" }
      if (status === 400 || status === 405 || status === 501) return { unasked: "not known to the server" }
      if (status === 404 && code !== "NoSuchBucket") return { value: absent }
      throw awsFault(place.bucket, error, signal)
    }
  }
  try {
    return {
      bucket: place.bucket,
      versioning: await ask(false, versioning),
      lock: await ask(null, defaultLock),
      open: await ask(BLOCKS, openTo),
      encryption: await ask(null, encryption),
      policy: await ask(null, policy),
      uploads: await ask(null, uploads),
      caller: await caller(place, signal),
      ahead: ahead(),
    }
  } finally {
    bucket.client.destroy()
  }
}

/** Compares the time of each answer with the middle of its request; gives the last difference. */
function clockOf(client: Sdk.S3Client, now: () => Date): () => number | null {
  let ahead: number | null = null
  client.middlewareStack.add(
    (next) => async (args) => {
      const sent = now().getTime()
      const result = await next(args)
      const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> }
      const told = Date.parse(headers?.["date"] ?? "")
      if (!Number.isNaN(told)) ahead = told - (sent + now().getTime()) / 2
      return result
    },
    // After all that turns a refusal into an error: that has a time, too.
    { step: "deserialize", priority: "low", name: "clock" },
  )
  return () => ahead
}

async function openTo({ sdk, client, bucket }: Bucket, abortSignal: AbortSignal): Promise<readonly string[]> {
  const answer = await client.send(new sdk.GetPublicAccessBlockCommand({ Bucket: bucket }), { abortSignal })
  return BLOCKS.filter((block) => answer.PublicAccessBlockConfiguration?.[block] !== true)
}

async function encryption({ sdk, client, bucket }: Bucket, abortSignal: AbortSignal): Promise<string | null> {
  const answer = await client.send(new sdk.GetBucketEncryptionCommand({ Bucket: bucket }), { abortSignal })
  const [rule] = answer.ServerSideEncryptionConfiguration?.Rules ?? []
  return rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm ?? null
}

async function policy({ sdk, client, bucket }: Bucket, abortSignal: AbortSignal): Promise<string | null> {
  return (await client.send(new sdk.GetBucketPolicyCommand({ Bucket: bucket }), { abortSignal })).Policy ?? null
}

async function uploads({ sdk, client, bucket, key }: Bucket, abortSignal: AbortSignal): Promise<number | null> {
  const command = new sdk.GetBucketLifecycleConfigurationCommand({ Bucket: bucket })
  const { Rules = [] } = await client.send(command, { abortSignal })
  const days = Rules.filter(({ Status }) => Status === "Enabled")
    // A rule for some tags or sizes is none for all uploads; an upload has no size yet.
    .filter(({ Filter = {} }) => Object.keys(Filter).every((name) => name === "Prefix"))
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- rules made long ago have it, and no filter
    .filter(({ Filter, Prefix }) => key("").startsWith(Filter?.Prefix ?? Prefix ?? ""))
    .flatMap(({ AbortIncompleteMultipartUpload: abort }) => abort?.DaysAfterInitiation ?? [])
  return days.length === 0 ? null : Math.min(...days)
}

/** Other servers have no such question, and some networks no way to who answers it: neither is a fault of the archive. */
async function caller(place: S3Options, signal: AbortSignal): Promise<Answer<string>> {
  const { GetCallerIdentityCommand, STSClient } = await import("@aws-sdk/client-sts")
  const client = new STSClient(clientSettings(place))
  try {
    const { Arn } = await client.send(new GetCallerIdentityCommand({}), { abortSignal: signal })
    return Arn === undefined ? { unasked: "not known to the server" } : { value: Arn }
  } catch {
    signal.throwIfAborted()
    return { unasked: "not known to the server" }
  } finally {
    client.destroy()
  }
}

// Single requests to a bucket that a target is made of. They throw what the SDK throws; whoever calls says what it means.

import type { PutObjectCommandInput } from "@aws-sdk/client-s3"
import { inOrder } from "@backup-cloud/format"
import type { Bucket } from "./bucket.ts"

type Headers = Omit<PutObjectCommandInput, "Bucket" | "Key" | "Body">

/** Parts that are put together at the same time. */
const WIDTH = 4

/** @param sha256 of the body, hex: the server refuses one that was damaged on its way */
export async function putObject(
  { sdk, client, name }: Bucket,
  key: string,
  body: Uint8Array,
  sha256: string,
  headers: Headers,
  signal: AbortSignal,
): Promise<void> {
  const ChecksumSHA256 = Buffer.from(sha256, "hex").toString("base64")
  const checksum = { ChecksumAlgorithm: "SHA256", ChecksumSHA256 } as const
  const command = new sdk.PutObjectCommand({ ...headers, ...checksum, Bucket: name, Key: key, Body: body })
  await client.send(command, { abortSignal: signal })
}

export async function removeObject({ sdk, client, name }: Bucket, key: string, signal: AbortSignal): Promise<void> {
  await client.send(new sdk.DeleteObjectCommand({ Bucket: name, Key: key }), { abortSignal: signal })
}

/** Keys that begin with `prefix`, at most `most` of up to a thousand, in their order. @param after not these and before */
export async function firstKeys(
  { sdk, client, name }: Bucket,
  prefix: string,
  after: string,
  most: number,
  signal: AbortSignal,
): Promise<string[]> {
  const start = after === "" ? {} : { StartAfter: after }
  const command = new sdk.ListObjectsV2Command({ Bucket: name, Prefix: prefix, MaxKeys: most, ...start })
  const { Contents = [] } = await client.send(command, { abortSignal: signal })
  return Contents.flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
}

/**
 * Makes one object of others. What was half put together is given up, since it would cost money until somebody found it.
 * @param parts keys, of objects of 5 MiB at least but for the last
 */
export async function joinObjects(
  { sdk, client, name }: Bucket,
  key: string,
  parts: readonly string[],
  { IfNoneMatch, ...headers }: Headers,
  signal: AbortSignal,
): Promise<void> {
  const place = { Bucket: name, Key: key }
  const options = { abortSignal: signal }
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand({ ...headers, ...place }), options)
  const copy = async ([i, part]: readonly [number, string], inner: AbortSignal) => {
    const CopySource = `${name}/${part.split("/").map(encodeURIComponent).join("/")}`
    const command = new sdk.UploadPartCopyCommand({ ...place, UploadId, PartNumber: i + 1, CopySource })
    const { CopyPartResult } = await client.send(command, { abortSignal: inner })
    return { PartNumber: i + 1, ETag: CopyPartResult?.ETag }
  }
  try {
    const Parts = []
    for await (const copied of inOrder(parts.entries(), WIDTH, signal, copy)) Parts.push(copied)
    const whole = { ...place, UploadId, MultipartUpload: { Parts }, IfNoneMatch }
    await client.send(new sdk.CompleteMultipartUploadCommand(whole), options)
  } catch (error) {
    // The first error is the one to tell.
    await client.send(new sdk.AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => undefined)
    throw error
  }
}

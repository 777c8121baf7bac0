// Creating an object in a bucket: one request, whole or not at all, refused by the server where the name is taken or where
// the body that arrives has another digest.

import type * as Sdk from "@aws-sdk/client-s3"
import { BackupError } from "@backup-cloud/format"
import { answerOf, awsFault } from "./aws-faults.ts"
import { type Body, bodyDigest, bodyLength, isSpool } from "./body.ts"
import type { ObjectInfo } from "./ports.ts"
import type { Bucket } from "./s3-client.ts"

/** @param conditional false leaves it to the caller not to overwrite */
export async function createS3(
  { sdk, client, bucket, key }: Bucket,
  name: string,
  body: Body,
  sha256: string,
  conditional: boolean,
  signal: AbortSignal,
): Promise<ObjectInfo> {
  const size = await bodyLength(body)
  const command = new sdk.PutObjectCommand({
    Bucket: bucket,
    Key: key(name),
    Body: isSpool(body) ? body.file.createReadStream({ ...WHOLE, highWaterMark: PIECE }) : Buffer.concat(body),
    ContentLength: size,
    ...(conditional ? { IfNoneMatch: "*" } : {}),
    // Named, since a bucket with a default retention takes no object without.
    ChecksumAlgorithm: "SHA256",
    ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64"),
  })
  const answer = prepareCreate(command, sha256)
  try {
    await client.send(command, { abortSignal: signal })
  } catch (error) {
    if (!WRONG_BODY.includes(answerOf(error).code)) throw awsFault(name, error, signal)
    const damagedHere = (await bodyDigest(body)) !== sha256
    const fault = damagedHere ? "tampered" : "unavailable"
    const where = damagedHere ? "the body does not have its SHA-256" : "the body was damaged on its way to the server"
    throw new BackupError(fault, `${name}: ${where}`, { cause: error })
  }
  return { name, size, arrived: answer.date ?? new Date(0) }
}

/** A spool is read from its start, and stays open for another try. */
const WHOLE = { start: 0, autoClose: false }
/** Bytes that are read from a spool at once. */
const PIECE = 1 << 18

/** What servers answer to a body that has not the digest sent with it. */
const WRONG_BODY = ["BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"]

/**
 * Puts the digest into the signature, so that the SDK need not compute it a second time, and notes the server's time:
 * an answer to a create says nothing else about when the object arrived.
 */
function prepareCreate(command: Sdk.PutObjectCommand, sha256: string): { date: Date | null } {
  const answer: { date: Date | null } = { date: null }
  command.middlewareStack.add(
    (next) => async (args) => {
      ;(args.request as { headers: Record<string, string> }).headers["x-amz-content-sha256"] = sha256
      return await next(args)
    },
    { step: "build", name: "digestOfBody" },
  )
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const { date } = (result.response as { headers: Record<string, string | undefined> }).headers
      if (date !== undefined) answer.date = new Date(date)
      return result
    },
    { step: "deserialize", name: "timeOfArrival" },
  )
  return answer
}

// Stands before moto and lets through what IAM would, for what moto's own enforcement does not know: the conditions
// `s3:prefix` and `s3:if-none-match`; the actions on retention, legal hold and lock, which it takes for other ones; and
// lists, whose signatures it gets wrong where the prefix has a slash. Those the gate judges alone. All else goes on
// unchanged, and moto checks its signature, action and resource once more. One request at a time.

import { createServer, request as forward, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { IamPolicy, Statement } from "../src/index.ts"
import type { Moto } from "./moto.ts"

export interface Gate {
  readonly endpoint: string
  close(): Promise<void>
}

const JUDGED_HERE = /^s3:(ListBucket|ListBucketVersions|\w+(Retention|LegalHold|ObjectLockConfiguration))$/

/** @param policyOf the policy of an access key; `null` refuses everything */
export async function iamGate(moto: Moto, policyOf: (accessKeyId: string) => IamPolicy | null): Promise<Gate> {
  let before: Promise<unknown> = Promise.resolve()
  const server = createServer((incoming, outgoing) => {
    const turn = before.then(() => pass(incoming, outgoing)).catch(() => outgoing.destroy())
    before = turn
  })

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const ended = new Promise((resolve) => outgoing.once("close", resolve))
    const key = /Credential=([^/]+)\//.exec(incoming.headers.authorization ?? "")?.[1] ?? ""
    const policy = policyOf(key)
    const asked = questionOf(incoming)
    if (policy === null || !allows(policy, asked)) {
      incoming.resume()
      outgoing.writeHead(403, { "content-type": "application/xml" })
      outgoing.end("<Error><Code>AccessDenied</Code><Message>by the gate</Message></Error>")
    } else {
      if (JUDGED_HERE.test(asked.action)) await moto.letOneThrough()
      const options = { method: incoming.method ?? "", headers: incoming.headers, path: incoming.url ?? "/" }
      const onward = forward(moto.endpoint, options, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      })
      onward.once("error", () => outgoing.destroy())
      incoming.pipe(onward)
    }
    await ended
  }

  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve)
  })
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface Question {
  readonly action: string
  readonly resource: string
  readonly context: ReadonlyMap<string, string>
}

/** What a request of S3 asks the rights for. */
export function questionOf(incoming: IncomingMessage): Question {
  const url = new URL(incoming.url ?? "/", "http://host")
  const [, bucket = "", ...parts] = url.pathname.split("/")
  const key = decodeURIComponent(parts.join("/"))
  const action = actionOf(incoming.method ?? "", key, url.searchParams)
  const resource = `arn:aws:s3:::${bucket}${key === "" ? "" : `/${key}`}`
  const header = incoming.headers["if-none-match"]
  const context = new Map<string, string>()
  // A list without a prefix has the empty one.
  if (action.startsWith("s3:ListBucket")) context.set("s3:prefix", url.searchParams.get("prefix") ?? "")
  if (header !== undefined) context.set("s3:if-none-match", header)
  return { action, resource, context }
}

function allows(policy: IamPolicy, { action, resource, context }: Question): boolean {
  const matching = policy.Statement.filter(
    (statement) =>
      statement.Action.some((pattern) => like(pattern, action)) &&
      statement.Resource.some((pattern) => like(pattern, resource)) &&
      meets(statement, context),
  )
  return matching.length > 0 && matching.every(({ Effect }) => Effect === "Allow")
}

function meets(statement: Statement, context: ReadonlyMap<string, string>): boolean {
  return Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
    Object.entries(keys).every(([name, expected]) => {
      const actual = context.get(name)
      const patterns = typeof expected === "string" ? [expected] : expected
      if (operator === "Null") return patterns.includes(String(actual === undefined))
      if (operator === "StringLike") return actual !== undefined && patterns.some((pattern) => like(pattern, actual))
      throw new Error(`the gate does not know the condition operator ${operator}`)
    }),
  )
}

function like(pattern: string, value: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".")
  return new RegExp(`^${source}$`, "s").test(value)
}

/** The action that S3 asks the rights for; names from the service authorization reference of S3. */
function actionOf(method: string, key: string, query: URLSearchParams): string {
  const table: Readonly<Record<string, readonly (readonly [string, string])[]>> =
    key === ""
      ? {
          GET: [
            ["versions", "ListBucketVersions"],
            ["versioning", "GetBucketVersioning"],
            ["object-lock", "GetBucketObjectLockConfiguration"],
            ["encryption", "GetEncryptionConfiguration"],
            ["", "ListBucket"],
          ],
          PUT: [
            ["versioning", "PutBucketVersioning"],
            ["object-lock", "PutBucketObjectLockConfiguration"],
            ["", "CreateBucket"],
          ],
        }
      : {
          HEAD: [["", "GetObject"]],
          POST: [
            ["uploads", "PutObject"],
            ["uploadId", "PutObject"],
          ],
          GET: [
            ["retention", "GetObjectRetention"],
            ["tagging", "GetObjectTagging"],
            ["versionId", "GetObjectVersion"],
            ["", "GetObject"],
          ],
          PUT: [
            ["retention", "PutObjectRetention"],
            ["legal-hold", "PutObjectLegalHold"],
            ["", "PutObject"],
          ],
          DELETE: [
            ["uploadId", "AbortMultipartUpload"],
            ["versionId", "DeleteObjectVersion"],
            ["", "DeleteObject"],
          ],
        }
  const found = table[method]?.find(([name]) => name === "" || query.has(name))
  if (found === undefined) throw new Error(`the gate does not know ${method} ?${query.toString()}`)
  return `s3:${found[1]}`
}

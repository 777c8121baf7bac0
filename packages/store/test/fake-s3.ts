// A small S3 of the tests' own, in this process, for what the servers at hand do not do on demand: it checks the digests
// of bodies, keeps a lock by its rules, and fails in the ways that networks and providers fail. Signatures are not checked.

import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** How a request fails. Those with `lost` or a cut or flipped body are carried out first. */
export type Failure =
  | { readonly kind: "status"; readonly status: number; readonly code: string }
  /** Carried out, but the connection breaks before the answer. */
  | { readonly kind: "lost-reply" }
  /** The answer's body ends before its stated length. */
  | { readonly kind: "cut-body"; readonly after: number }
  /** One bit of the answer's body is another. */
  | { readonly kind: "flip-answer"; readonly at: number }
  /** One bit of the request's body is another when it arrives. */
  | { readonly kind: "flip-request"; readonly at: number }
  /** A list shows what was there before the last change. */
  | { readonly kind: "stale-list" }
  /** No answer, ever. */
  | { readonly kind: "hang" }

export interface FakeRequest {
  readonly method: string
  /** Object key, `""` for the bucket. */
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage["headers"]
}

interface Version {
  readonly id: string
  readonly body: Buffer
  readonly arrived: Date
  readonly deleted: boolean
  /** Until when it cannot be deleted. */
  readonly until: Date
}

export interface FakeS3 {
  readonly endpoint: string
  readonly bucket: string
  readonly requests: FakeRequest[]
  /** Chooses how a request fails; none unless set. */
  fail: (request: FakeRequest) => Failure | null
  /** What the bucket shows as it is now; another object overwrites it as a thief with the right to would. */
  overwrite(key: string, body: Buffer): void
  close(): Promise<void>
}

export interface FakeOptions {
  readonly now: () => Date
  /** Default retention; none unless given. */
  readonly lockDays?: number
  /** Ignores `If-None-Match`, as some providers do. */
  readonly unconditional?: boolean
  readonly pageSize?: number
}

const bucket = "archive"

export async function fakeS3(options: FakeOptions): Promise<FakeS3> {
  const versioned = options.lockDays !== undefined
  let objects = new Map<string, readonly Version[]>()
  let before = objects
  let count = 0

  const change = (key: string, versions: readonly Version[]): void => {
    before = objects
    objects = new Map(objects)
    if (versions.length === 0) objects.delete(key)
    else objects.set(key, versions)
  }
  const add = (key: string, body: Buffer, deleted: boolean): Version => {
    const until = new Date(options.now().getTime() + (options.lockDays ?? 0) * 86_400_000)
    const id = versioned ? `v${++count}` : "null"
    const version = { id, body, arrived: options.now(), deleted, until }
    change(key, [version, ...(versioned ? (objects.get(key) ?? []) : [])])
    return version
  }

  function carryOut(request: FakeRequest, body: Buffer, shown: typeof objects): Answer {
    const { method, key, query, headers } = request
    if (key === "") return onBucket(query, shown)
    const versions = objects.get(key) ?? []
    const wanted = query.get("versionId")
    const current = wanted === null ? versions[0] : versions.find((version) => version.id === wanted)
    if (method === "PUT") {
      const wrong = wrongDigest(headers, body)
      if (wrong !== null) return failed(400, wrong)
      if (headers["if-none-match"] === "*" && options.unconditional !== true && versions[0]?.deleted === false) {
        return failed(412, "PreconditionFailed")
      }
      return { status: 200, headers: { "x-amz-version-id": add(key, body, false).id }, body: Buffer.alloc(0) }
    }
    if (method === "DELETE") {
      if (wanted === null && versioned) add(key, Buffer.alloc(0), true)
      else if (current !== undefined && versioned && !current.deleted && current.until > options.now())
        return failed(403, "AccessDenied")
      else
        change(
          key,
          versions.filter((version) => version !== current),
        )
      return { status: 204, headers: {}, body: Buffer.alloc(0) }
    }
    if (method !== "GET" && method !== "HEAD") return failed(501, "NotImplemented")
    if (current === undefined || current.deleted) return failed(404, wanted === null ? "NoSuchKey" : "NoSuchVersion")
    if (method === "HEAD") {
      const headers = versioned ? { "x-amz-object-lock-retain-until-date": current.until.toISOString() } : {}
      return { status: 200, headers, body: Buffer.alloc(0) }
    }
    const [, first, last] = /^bytes=([0-9]+)-([0-9]*)$/.exec(headers.range ?? "") ?? []
    if (first === undefined) return { status: 200, headers: {}, body: current.body }
    if (Number(first) >= current.body.length) return failed(416, "InvalidRange")
    return {
      status: 206,
      headers: {},
      body: current.body.subarray(Number(first), last === "" ? undefined : Number(last) + 1),
    }
  }

  function onBucket(query: URLSearchParams, shown: typeof objects): Answer {
    if (query.has("versioning")) return xml("VersioningConfiguration", versioned ? "<Status>Enabled</Status>" : "")
    if (query.has("object-lock")) {
      if (!versioned) return failed(404, "ObjectLockConfigurationNotFoundError")
      const rule = `<DefaultRetention><Mode>COMPLIANCE</Mode><Days>${options.lockDays ?? 0}</Days></DefaultRetention>`
      return xml("ObjectLockConfiguration", `<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>${rule}</Rule>`)
    }
    const after =
      Buffer.from(query.get("continuation-token") ?? "", "base64url").toString() || (query.get("start-after") ?? "")
    const keys = [...shown.keys()]
      .filter(
        (key) => key.startsWith(query.get("prefix") ?? "") && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0,
      )
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const fields = (key: string, version: Version): string =>
      `<Key>${escaped(key)}</Key><LastModified>${version.arrived.toISOString()}</LastModified>` +
      (version.deleted ? "" : `<Size>${version.body.length}</Size>`)
    if (query.has("versions")) {
      const all = keys.flatMap((key) =>
        (shown.get(key) ?? []).map((version, index) => {
          const tag = version.deleted ? "DeleteMarker" : "Version"
          return `<${tag}>${fields(key, version)}<VersionId>${version.id}</VersionId><IsLatest>${index === 0}</IsLatest></${tag}>`
        }),
      )
      return xml("ListVersionsResult", `<IsTruncated>false</IsTruncated>${all.join("")}`)
    }
    const present = keys.filter((key) => shown.get(key)?.[0]?.deleted === false)
    const size = Math.min(options.pageSize ?? 1000, Number(query.get("max-keys") ?? 1000))
    const page = present.slice(0, size)
    const more = present.length > size
    const token = more
      ? `<NextContinuationToken>${Buffer.from(page.at(-1) ?? "").toString("base64url")}</NextContinuationToken>`
      : ""
    const items = page.map(
      (key) =>
        `<Contents>${(shown.get(key) ?? [])
          .slice(0, 1)
          .map((v) => fields(key, v))
          .join("")}</Contents>`,
    )
    return xml("ListBucketResult", `<IsTruncated>${more}</IsTruncated>${token}${items.join("")}`)
  }

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const received: Buffer[] = []
    for await (const piece of incoming as AsyncIterable<Buffer>) received.push(piece)
    const body = Buffer.concat(received)
    const url = new URL(incoming.url ?? "/", "http://host")
    const [, place = "", ...parts] = url.pathname.split("/")
    const key = decodeURIComponent(parts.join("/"))
    const request = { method: incoming.method ?? "", key, query: url.searchParams, headers: incoming.headers }
    fake.requests.push(request)
    const failure = fake.fail(request)
    if (failure?.kind === "hang") return
    if (failure?.kind === "flip-request") flip(body, failure.at)
    let answer: Answer
    if (failure?.kind === "status") answer = failed(failure.status, failure.code)
    else if (place !== bucket) answer = failed(404, "NoSuchBucket")
    else answer = carryOut(request, body, failure?.kind === "stale-list" ? before : objects)
    if (failure?.kind === "lost-reply") {
      outgoing.destroy()
      return
    }
    const sent = Buffer.from(answer.body)
    if (failure?.kind === "flip-answer") flip(sent, failure.at)
    outgoing.writeHead(answer.status, {
      ...answer.headers,
      "content-length": sent.length,
      date: options.now().toUTCString(),
    })
    if (failure?.kind !== "cut-body") outgoing.end(sent)
    else outgoing.write(sent.subarray(0, failure.after), () => outgoing.destroy())
  }

  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const fake: FakeS3 = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket,
    requests: [],
    fail: () => null,
    overwrite: (key, body) => void add(key, body, false),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return fake
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

function xml(root: string, content: string): Answer {
  const text = `<?xml version="1.0" encoding="UTF-8"?><${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${root}>`
  return { status: 200, headers: { "content-type": "application/xml" }, body: Buffer.from(text) }
}

function failed(status: number, code: string): Answer {
  const body = Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  )
  return { status, headers: { "content-type": "application/xml" }, body }
}

function wrongDigest(headers: IncomingMessage["headers"], body: Buffer): string | null {
  const of = (algorithm: string, encoding: "hex" | "base64") => createHash(algorithm).update(body).digest(encoding)
  const sent = (name: string): string | undefined => headers[name] as string | undefined
  if ((sent("x-amz-checksum-sha256") ?? of("sha256", "base64")) !== of("sha256", "base64")) return "BadDigest"
  if ((sent("content-md5") ?? of("md5", "base64")) !== of("md5", "base64")) return "BadDigest"
  const signed = sent("x-amz-content-sha256") ?? ""
  return /^[0-9a-f]{64}$/.test(signed) && signed !== of("sha256", "hex") ? "XAmzContentSHA256Mismatch" : null
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ 1
}

function escaped(text: string): string {
  return text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c] ?? c)
}

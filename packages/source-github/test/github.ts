// A double of GitHub's API over HTTP, with the state of one account. Every request and every answer is checked against the
// description that GitHub publishes; what does not fit is in `problems`, and tests expect none.

import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { collect } from "../../trust/test/archive.ts"
import { answerProblems, filled, operationOf, type Route, requestProblems } from "./openapi.ts"

export type Fields = Record<string, unknown>

export interface Repository {
  fields: Fields
  issues: Fields[]
  /** By number of the issue. */
  comments: Map<number, Fields[]>
  pulls: Map<number, Fields>
  reviews: Map<number, Fields[]>
  reviewComments: Map<number, Fields[]>
  labels: Fields[]
  milestones: Fields[]
  releases: Fields[]
  /** By id. */
  assets: Map<number, Buffer>
  /** By branch. */
  protection: Map<string, Fields>
}

interface Instead {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly data?: unknown
}

interface Call {
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly body: Fields
  readonly raw: Buffer
}
interface Answer {
  readonly status: number
  readonly data?: unknown
  readonly bytes?: Buffer
}
export type Handler = (call: Call) => Answer

export interface GitHub {
  /** With the prefix of an Enterprise Server. */
  readonly baseUrl: string
  readonly owner: string
  readonly token: string
  readonly repositories: Map<string, Repository>
  /** `GET /path?query 200` of every request. */
  readonly asked: string[]
  readonly problems: string[]
  readonly handlers: Map<string, Handler>
  /** Answers instead, unchecked, as a server in trouble does; `hang up after`: once it was done. */
  intercept: (route: string, url: string) => Instead | "hang up" | "hang up after" | null
  nextId(): number
  close(): Promise<void>
}

const PREFIX = "/api/v3"
export const UPLOADS = "/api/uploads"

export function emptyRepository(fields: Fields): Repository {
  return {
    fields,
    ...{ issues: [], labels: [], milestones: [], releases: [] },
    ...{ comments: new Map(), pulls: new Map(), reviews: new Map(), reviewComments: new Map() },
    ...{ assets: new Map(), protection: new Map() },
  }
}

export async function startGitHub(owner: string, token: string): Promise<GitHub> {
  const server = createServer((request, response) => {
    void answer(request, response).catch((error: unknown) => {
      github.problems.push(String(error))
      response.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let id = 1000
  const github: GitHub = {
    ...{ baseUrl: `${origin}${PREFIX}`, owner, token, repositories: new Map(), asked: [], problems: [] },
    ...{ handlers: new Map(), intercept: () => null, nextId: () => id++ },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  addReading(github)

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", origin)
    const raw = Buffer.concat(await collect(request as AsyncIterable<Buffer>))
    const path = url.pathname.replace(PREFIX, "").replace(UPLOADS, "")
    const route = operationOf(request.method ?? "", path)
    const say = (status: number, headers: Readonly<Record<string, string>>, body?: string | Buffer): void => {
      github.asked.push(`${request.method ?? ""} ${path}${url.search} ${status}`)
      response.writeHead(status, headers).end(body)
    }
    if (route === null || path === url.pathname) {
      github.problems.push(`GitHub has no ${request.method ?? ""} ${url.pathname}`)
      say(404, JSON_HEADERS, "{}")
      return
    }
    const instead = github.intercept(route.route, request.url ?? "")
    if (instead === "hang up") {
      response.destroy()
      return
    }
    if (instead !== null && instead !== "hang up after") {
      say(instead.status, { ...JSON_HEADERS, ...instead.headers }, JSON.stringify(instead.data ?? { message: "no" }))
      return
    }
    if (request.headers.authorization !== `token ${token}`) {
      say(401, JSON_HEADERS, JSON.stringify({ message: "Bad credentials", documentation_url: "x" }))
      return
    }
    const isJson = /json/.test(request.headers["content-type"] ?? "") && raw.length > 0
    const body = isJson ? (JSON.parse(raw.toString()) as Fields) : undefined
    const note = (problems: readonly string[]): void => {
      github.problems.push(...problems.map((problem) => `${route.route}: ${problem}`))
    }
    if (isJson || raw.length === 0) note(requestProblems(route, url.searchParams, body))
    const handler = github.handlers.get(route.route)
    if (handler === undefined) {
      note(["the double does not have it"])
      say(500, JSON_HEADERS, "{}")
      return
    }
    const result = handler({ params: route.params, query: url.searchParams, body: body ?? {}, raw })
    if (instead === "hang up after") {
      response.destroy()
      return
    }
    if (result.bytes !== undefined) {
      say(200, { "content-type": "application/octet-stream" }, result.bytes)
      return
    }
    const { data, headers } = paged(route, result, url)
    note(answerProblems(route, result.status, data))
    const text = JSON.stringify(data)
    const etag = `W/"${createHash("sha256")
      .update(`${text}${headers["link"] ?? ""}`)
      .digest("hex")}"`
    if (request.headers["if-none-match"] === etag && request.method === "GET") say(304, { etag })
    else say(result.status, { ...JSON_HEADERS, ...headers, etag }, data === undefined ? undefined : text)
  }
  return github
}

const JSON_HEADERS = { "content-type": "application/json; charset=utf-8" }

/** A page of a list, with links as GitHub gives them; anything else as it is. */
function paged(route: Route, { status, data }: Answer, url: URL): { data: unknown; headers: Record<string, string> } {
  if (!Array.isArray(data) || route.method !== "get") return { data: filled(route, status, data), headers: {} }
  const size = Number(url.searchParams.get("per_page") ?? 30)
  const page = Number(url.searchParams.get("page") ?? 1)
  const next = new URL(url)
  next.searchParams.set("page", String(page + 1))
  const link = page * size < data.length ? { link: `<${next.href}>; rel="next"` } : {}
  return { data: filled(route, status, data.slice((page - 1) * size, page * size)), headers: link }
}

const NOT_FOUND: Answer = { status: 404, data: { message: "Not Found", documentation_url: "x", status: "404" } }

/** Handlers of all that is read. */
function addReading(github: GitHub): void {
  const on = (route: string, handler: (call: Call) => unknown): void => {
    github.handlers.set(route, (call) => {
      const data = handler(call)
      return data === undefined ? NOT_FOUND : { status: 200, data }
    })
  }
  const repo = (route: string, handler: (repository: Repository, call: Call) => unknown): void => {
    on(route.replace("R", "/repos/{owner}/{repo}"), (call) => {
      const found =
        call.params["owner"] === github.owner ? github.repositories.get(call.params["repo"] ?? "") : undefined
      return found === undefined ? undefined : handler(found, call)
    })
  }
  const number = ({ params }: Call, name: string): number => Number(params[name])
  on("GET /users/{username}", ({ params }) =>
    params["username"] === github.owner ? { login: github.owner, type: "Organization" } : undefined,
  )
  on("GET /orgs/{org}/repos", () => [...github.repositories.values()].map(({ fields }) => fields))
  repo("GET R", ({ fields }) => fields)
  repo("GET R/labels", ({ labels }) => labels)
  repo("GET R/milestones", ({ milestones }) => milestones)
  repo("GET R/releases", ({ releases }) => releases)
  repo("GET R/rulesets", () => [])
  repo("GET R/branches", ({ protection }) => [...protection.keys()].map((name) => ({ name, protected: true })))
  repo("GET R/branches/{branch}/protection", ({ protection }, { params }) => protection.get(params["branch"] ?? ""))
  repo("GET R/issues", ({ issues }, { query }) =>
    issues
      .filter(({ updated_at: at }) => String(at) >= (query.get("since") ?? ""))
      .filter(({ state }) => query.get("state") === "all" || state === "open")
      .sort((a, b) => (String(a["updated_at"]) < String(b["updated_at"]) ? -1 : 1)),
  )
  repo("GET R/issues/{issue_number}/comments", ({ comments }, call) => comments.get(number(call, "issue_number")) ?? [])
  repo("GET R/pulls/{pull_number}", ({ pulls }, call) => pulls.get(number(call, "pull_number")))
  repo("GET R/pulls/{pull_number}/reviews", ({ reviews }, call) => reviews.get(number(call, "pull_number")) ?? [])
  repo(
    "GET R/pulls/{pull_number}/comments",
    ({ reviewComments }, call) => reviewComments.get(number(call, "pull_number")) ?? [],
  )
  github.handlers.set("GET /repos/{owner}/{repo}/releases/assets/{asset_id}", ({ params }) => {
    const bytes = github.repositories.get(params["repo"] ?? "")?.assets.get(Number(params["asset_id"]))
    return bytes === undefined ? NOT_FOUND : { status: 200, bytes }
  })
}

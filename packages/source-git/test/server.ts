// A git server over HTTP: the real `git http-backend` behind Basic authentication, and beside it the LFS batch API, whose
// objects lie in memory. It can refuse, hang up amidst an answer, and count what it was asked for.

import { execFileSync, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { collect } from "../../trust/test/archive.ts"

export interface Account {
  readonly username: string
  readonly password: string
}

export interface GitServer {
  /** `http://127.0.0.1:PORT`; a repository `x.git` of the folder is at `/x.git`. */
  readonly url: string
  /** Objects by id. */
  readonly lfs: Map<string, Buffer>
  /** Method and path of every request, and whether it came with the right password. */
  readonly asked: string[]
  /**
   * Answers instead of the server; `cut` ends the connection after that many bytes of a pack, `hang` never answers, until
   * `release` ends all connections.
   */
  intercept: (request: IncomingMessage) => { readonly status: number } | { readonly cut: number } | "hang" | null
  release(): void
  /** Where a request is sent on to, by its path with query. */
  redirect: ((url: string) => string) | null
  close(): Promise<void>
}

/** @param account `null` lets everybody in */
export async function startGitServer(folder: string, account: Account | null): Promise<GitServer> {
  const backend = `${execFileSync("git", ["--exec-path"], { encoding: "utf8" }).trim()}/git-http-backend`
  const wanted = account === null ? null : basic(account)
  const server = createServer((request, response) => {
    void answer(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const gitServer: GitServer = {
    ...{ url, lfs: new Map(), asked: [], intercept: () => null, redirect: null },
    release() {
      server.closeAllConnections()
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, search } = new URL(request.url ?? "/", url)
    const known = wanted === null || request.headers.authorization === wanted
    gitServer.asked.push(`${request.method ?? ""} ${pathname}${search} ${known ? "known" : "unknown"}`)
    const instead = gitServer.intercept(request)
    if (instead === "hang") return
    if (instead !== null && "status" in instead) {
      response.writeHead(instead.status).end()
      return
    }
    if (gitServer.redirect !== null) {
      response.writeHead(302, { location: gitServer.redirect(request.url ?? "/") }).end()
      return
    }
    if (!known) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end()
      return
    }
    if (/\/info\/lfs\//.test(pathname)) await answerLfs(request, response, pathname)
    else await runBackend(request, response, pathname, search, instead?.cut ?? null)
  }

  async function answerLfs(request: IncomingMessage, response: ServerResponse, pathname: string): Promise<void> {
    const body = Buffer.concat(await collect(request as AsyncIterable<Buffer>))
    const id = /\/objects\/([0-9a-f]{64})$/.exec(pathname)?.[1]
    if (request.method === "PUT" && id !== undefined) {
      const right = createHash("sha256").update(body).digest("hex") === id
      if (right) gitServer.lfs.set(id, body)
      response.writeHead(right ? 200 : 422).end()
    } else if (request.method === "GET" && id !== undefined) {
      response.end(gitServer.lfs.get(id))
    } else if (pathname.endsWith("/objects/batch")) {
      const asked = JSON.parse(body.toString()) as { operation: string; objects: { oid: string; size: number }[] }
      const objects = asked.objects.map(({ oid, size }) => {
        const there = gitServer.lfs.has(oid)
        const action = { href: `${url}${pathname.replace(/batch$/, oid)}`, header: { authorization: wanted ?? "x" } }
        if (asked.operation === "download" && !there) return { oid, size, error: { code: 404, message: "no object" } }
        const actions = asked.operation === "upload" && there ? {} : { actions: { [asked.operation]: action } }
        return { oid, size, authenticated: true, ...actions }
      })
      response.setHeader("content-type", "application/vnd.git-lfs+json")
      response.end(JSON.stringify({ transfer: "basic", objects }))
    } else response.writeHead(404).end()
  }

  /** CGI (RFC 3875), as far as git http-backend needs it. */
  async function runBackend(
    request: IncomingMessage,
    response: ServerResponse,
    pathname: string,
    search: string,
    cut: number | null,
  ): Promise<void> {
    const child = spawn(backend, [], {
      env: {
        PATH: process.env["PATH"] ?? "",
        GIT_PROJECT_ROOT: folder,
        GIT_HTTP_EXPORT_ALL: "1",
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "http.receivepack",
        GIT_CONFIG_VALUE_0: "true",
        PATH_INFO: decodeURIComponent(pathname),
        QUERY_STRING: search.slice(1),
        REQUEST_METHOD: request.method ?? "GET",
        CONTENT_TYPE: request.headers["content-type"] ?? "",
        ...(request.headers["content-encoding"] === undefined
          ? {}
          : { HTTP_CONTENT_ENCODING: request.headers["content-encoding"] }),
        ...(request.headers["git-protocol"] === undefined
          ? {}
          : { GIT_PROTOCOL: String(request.headers["git-protocol"]) }),
        REMOTE_USER: account?.username ?? "anybody",
        REMOTE_ADDR: "127.0.0.1",
      },
      stdio: ["pipe", "pipe", "ignore"],
    })
    request.pipe(child.stdin)
    child.stdin.on("error", () => undefined)
    let head = Buffer.alloc(0)
    let sent = 0
    let inBody = false
    for await (const piece of child.stdout as AsyncIterable<Buffer>) {
      let body = piece
      if (!inBody) {
        head = Buffer.concat([head, piece])
        const end = head.indexOf("\r\n\r\n")
        if (end < 0) continue
        inBody = true
        body = head.subarray(end + 4)
        for (const line of head.subarray(0, end).toString("latin1").split("\r\n")) {
          const [name = "", value = ""] = line.split(/: (.*)/)
          if (name === "Status") response.statusCode = Number.parseInt(value, 10)
          else response.setHeader(name, value)
        }
      }
      sent += body.length
      if (cut !== null && sent > cut && pathname.endsWith("git-upload-pack")) {
        response.write(body.subarray(0, Math.max(0, body.length - (sent - cut))))
        child.stdout.destroy()
        await new Promise((resolve) => setImmediate(resolve))
        response.destroy()
        return
      }
      response.write(body)
    }
    response.end()
  }
  return gitServer
}

export const basic = ({ username, password }: Account): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`

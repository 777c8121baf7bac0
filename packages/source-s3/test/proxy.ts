// Stands before a server and makes requests fail as networks and providers do; all else goes on unchanged.

import { createServer, request as forward, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface Asked {
  readonly method: string
  /** Object key, `""` for the bucket. */
  readonly key: string
  readonly query: URLSearchParams
  readonly range: string
}

/** An answer in place of the server's; or the server's, cut off after so many bytes of its body or with a bit flipped. */
type Failure =
  | { readonly status: number; readonly code: string }
  | { readonly cutAfter: number }
  /** Nothing more comes after so many bytes, and the connection stays. */
  | { readonly stallAfter: number }
  | { readonly flipAt: number }
  /** Carried out, but the connection breaks before the answer. */
  | { readonly lostReply: true }

export interface Proxy {
  readonly endpoint: string
  readonly asked: Asked[]
  /** How a request fails; none unless set. The request goes on when the promise is fulfilled. */
  fail: (request: Asked) => Failure | null | Promise<Failure | null>
  /** Most requests that were under way at the same time. */
  most: number
  close(): Promise<void>
}

export async function startProxy(to: string): Promise<Proxy> {
  let open = 0
  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing).catch(() => outgoing.destroy())
  })

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    proxy.most = Math.max(proxy.most, ++open)
    outgoing.once("close", () => open--)
    const url = new URL(incoming.url ?? "/", "http://host")
    const [, , ...parts] = url.pathname.split("/")
    const asked = {
      method: incoming.method ?? "",
      key: decodeURIComponent(parts.join("/")),
      query: url.searchParams,
      range: incoming.headers.range ?? "",
    }
    proxy.asked.push(asked)
    const failure = await proxy.fail(asked)
    if (failure !== null && "status" in failure) {
      incoming.resume()
      outgoing.writeHead(failure.status, { "content-type": "application/xml" })
      outgoing.end(asked.method === "HEAD" ? "" : `<Error><Code>${failure.code}</Code><Message>no</Message></Error>`)
      return
    }
    const options = { method: asked.method, headers: incoming.headers, path: incoming.url ?? "/" }
    const onward = forward(to, options, (answer) => {
      if (failure !== null && "lostReply" in failure) {
        answer.resume().once("end", () => outgoing.destroy())
        return
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      if (failure === null) {
        answer.pipe(outgoing)
        return
      }
      answer.once("data", (piece: Buffer) => {
        if ("flipAt" in failure) {
          piece[failure.flipAt] = (piece[failure.flipAt] ?? 0) ^ 1
          outgoing.write(piece)
          answer.pipe(outgoing)
          return
        }
        answer.destroy()
        if ("stallAfter" in failure) outgoing.write(piece.subarray(0, failure.stallAfter))
        else outgoing.write(piece.subarray(0, failure.cutAfter), () => outgoing.destroy())
      })
    })
    onward.once("error", () => outgoing.destroy())
    incoming.pipe(onward)
  }

  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve)
  })
  const proxy: Proxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    fail: () => null,
    most: 0,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return proxy
}

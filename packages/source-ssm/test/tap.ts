// Stands before moto and knows what was asked for; can answer in its place as AWS would, and lets through only what a policy
// allows, by action and resource. moto's own enforcement looks at actions alone, and refuses in XML, which AWS does not.

import { createServer, request as forward, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"

interface Asked {
  /** `GetParameters`. */
  readonly action: string
  readonly body: Readonly<Record<string, unknown>>
}

interface Answer {
  readonly status: number
  /** `__type` of the answer. */
  readonly code: string
  readonly message?: string
  /** In place of all that: a body that is no JSON. */
  readonly raw?: string
}

export interface Policy {
  readonly Statement: readonly {
    readonly Action: readonly string[]
    readonly Resource: string | readonly string[]
  }[]
}

export interface Tap {
  readonly endpoint: string
  /** All requests in their order. Emptied by who has seen them. */
  readonly asked: Asked[]
  /** Answers a request in moto's place; `null` lets it go on. `"hang up"` ends the connection. */
  intercept: (asked: Asked) => Answer | "hang up" | null
  /** What the caller may do; `null` for everything. */
  policy: Policy | null
  close(): Promise<void>
}

const ARN = "arn:aws:ssm:eu-central-1:123456789012"

export async function startTap(moto: string): Promise<Tap> {
  const server = createServer((incoming, outgoing) => {
    const pieces: Buffer[] = []
    incoming.on("data", (piece: Buffer) => pieces.push(piece))
    incoming.on("end", () => {
      const text = Buffer.concat(pieces)
      const asked = read(incoming.headers, text)
      tap.asked.push(asked)
      const answer =
        tap.intercept(asked) ??
        (tap.policy === null || allows(tap.policy, asked) ? null : { status: 400, code: "AccessDeniedException" })
      if (answer === "hang up") {
        incoming.socket.destroy()
      } else if (answer !== null) {
        outgoing.writeHead(answer.status, { "content-type": "application/x-amz-json-1.1" })
        const { code, message = "by the tap", raw } = answer
        outgoing.end(raw ?? JSON.stringify({ __type: code, message }))
      } else {
        const onward = forward(
          `${moto}${incoming.url ?? "/"}`,
          { method: "POST", headers: incoming.headers },
          (from) => {
            outgoing.writeHead(from.statusCode ?? 500, from.headers)
            from.pipe(outgoing)
          },
        )
        onward.on("error", () => incoming.socket.destroy())
        onward.end(text)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const tap: Tap = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    intercept: () => null,
    policy: null,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return tap
}

function read(headers: IncomingHttpHeaders, text: Buffer): Asked {
  const action = String(headers["x-amz-target"]).replace("AmazonSSM.", "")
  return { action, body: JSON.parse(text.toString("utf8")) as Record<string, unknown> }
}

/** As in the service authorization reference: what lists has no resource, all else the parameters it names. */
function allows({ Statement }: Policy, { action, body }: Asked): boolean {
  const names = (body["Names"] ?? [body["Name"] ?? body["ResourceId"]]) as string[]
  const resources =
    action === "DescribeParameters"
      ? ["*"]
      : names.map((name) => `${ARN}:parameter/${name.replace(/^\//, "").replace(/:[0-9]+$/, "")}`)
  return resources.every((resource) =>
    Statement.some(
      ({ Action, Resource }) =>
        Action.includes(`ssm:${action}`) && [Resource].flat().some((pattern) => like(pattern, resource)),
    ),
  )
}

function like(pattern: string, value: string): boolean {
  const source = pattern.replace(/[.+^${}()|[\]\\?]/g, "\\$&").replaceAll("*", ".*")
  return new RegExp(`^${source}$`).test(value)
}

// Stands before moto and asks the IAM simulator about every request: what the templates' policies do not grant is refused
// as AWS would. It keeps what was asked and granted, with the parts of names that differ from run to run made alike.

import { createServer, request as forward, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { questionOf } from "../../store/test/iam-gate.ts"
import type { Moto } from "../../store/test/moto.ts"
import { identityOf, judge, PATH, type Policies, type Principal, policyOn, type Question } from "./judge.ts"
import { ACCOUNT, REGION } from "./resolve.ts"

export interface Gate {
  readonly endpoint: string
  readonly granted: ReadonlyMap<string, Question>
  readonly refused: readonly Question[]
  close(): Promise<void>
}

/** @param whose the principal of an access key; of an unknown one every request is refused */
export async function openGate(
  moto: Moto,
  bucket: string,
  policies: Policies,
  whose: (accessKeyId: string) => Principal | undefined,
): Promise<Gate> {
  const granted = new Map<string, Question>()
  const refused: Question[] = []
  const server = createServer((incoming, outgoing) => {
    const pieces: Buffer[] = []
    incoming.on("data", (piece: Buffer) => pieces.push(piece))
    incoming.once("end", () => {
      const body = Buffer.concat(pieces)
      const key = /Credential=([^/]+)\//.exec(incoming.headers.authorization ?? "")?.[1] ?? ""
      allows(incoming, body, whose(key)).then(
        (fine) => {
          if (!fine) {
            outgoing.writeHead(403, { "content-type": "application/xml" })
            outgoing.end("<Error><Code>AccessDenied</Code><Message>by the gate</Message></Error>")
            return
          }
          const options = { method: incoming.method ?? "", headers: incoming.headers, path: incoming.url ?? "/" }
          const onward = forward(moto.endpoint, options, (answer) => {
            outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
            answer.pipe(outgoing)
          })
          onward.once("error", () => outgoing.destroy())
          onward.end(body)
        },
        (error: unknown) => {
          outgoing.destroy(error instanceof Error ? error : new Error(String(error)))
        },
      )
    })
  })

  async function allows(incoming: IncomingMessage, body: Buffer, principal: Principal | undefined): Promise<boolean> {
    if (principal === undefined) return false
    const question = { principal, ...asked(incoming, body, bucket) }
    const fine = (await judge(question, identityOf(principal, policies), policyOn(question, policies))) === "Allowed"
    if (fine) granted.set(JSON.stringify(question), question)
    else refused.push(question)
    return fine
  }

  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve)
  })
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    granted,
    refused,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function asked(incoming: IncomingMessage, body: Buffer, bucket: string): Omit<Question, "principal"> {
  const target = incoming.headers["x-amz-target"]
  if (typeof target === "string") {
    const { Name } = JSON.parse(body.toString()) as { Name: string }
    const action = target.replace(/^AmazonSSM\./, "ssm:")
    return { action, resource: `arn:aws:ssm:${REGION}:${ACCOUNT}:parameter${Name}` }
  }
  const { action, resource, context } = questionOf(incoming)
  const top = `arn:aws:s3:::${bucket}`
  const inArchive = `${top}/${PATH}/`
  const encryption = Object.entries(incoming.headers).filter(([name]) => /^x-amz-server-side-encryption/.test(name))
  const all = {
    ...Object.fromEntries(context),
    ...Object.fromEntries(encryption.map(([k, v]) => [`s3:${k}`, String(v)])),
  }
  const alike = Object.entries(all).map(([name, value]) => [name, madeAlike(value)])
  return {
    action,
    resource:
      resource === top ? "" : resource.startsWith(inArchive) ? madeAlike(resource.slice(inArchive.length)) : resource,
    ...(alike.length === 0 ? {} : { context: Object.fromEntries(alike) as Record<string, string> }),
  }
}

function madeAlike(name: string): string {
  return name
    .replace(/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}/g, "20261123T221500Z-4f1c9a02")
    .replace(/[0-9A-F]{40}/g, "0".repeat(40))
    .replace(/-[0-9a-f]{16}\b/g, "-0123456789abcdef")
}

// A collector of traces: takes OTLP over HTTP as JSON, and has what it was sent.

import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { json } from "node:stream/consumers"

interface SentSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly status: { readonly code: number; readonly message?: string }
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[]
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: SentSpan["attributes"] }
    readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[]
  }[]
}

export interface Collector extends AsyncDisposable {
  readonly url: string
  readonly spans: SentSpan[]
  /** All that came, as text. */
  readonly texts: string[]
  /** Of the resource of the last export. */
  service(): unknown
}

export async function collector(): Promise<Collector> {
  const spans: SentSpan[] = []
  const texts: string[] = []
  let service: unknown
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      texts.push(JSON.stringify(body))
      for (const { resource, scopeSpans } of (body as Export).resourceSpans) {
        service = resource.attributes.find(({ key }) => key === "service.name")?.value["stringValue"]
        for (const scope of scopeSpans) spans.push(...scope.spans)
      }
      response.writeHead(request.url === "/v1/traces" ? 200 : 404, { "content-type": "application/json" }).end("{}")
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    ...{ url: `http://127.0.0.1:${port}`, spans, texts, service: () => service },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

import assert from "node:assert/strict"
import { afterEach, test } from "node:test"
import { BackupError, step } from "@backup-cloud/format"
import { SpanStatusCode } from "@opentelemetry/api"
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace"
import { followSteps, sendTraces } from "../src/index.ts"
import { collector } from "./collector.ts"

const { OTEL_EXPORTER_OTLP_ENDPOINT: before } = process.env

afterEach(() => {
  if (before === undefined) delete process.env["OTEL_EXPORTER_OTLP_ENDPOINT"]
  else process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = before
})

test("steps become spans within spans, also of works side by side, and end with what they said of themselves", async () => {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  {
    using stack = new DisposableStack()
    stack.use(followSteps(provider.getTracer("test")))
    await step("back up", { source: "docs" }, async (more) => {
      await Promise.all(
        ["a", "b"].map((object) =>
          step("store object", { object }, async () => {
            await step("seal", {}, () => new Promise((resolve) => setTimeout(resolve, 5)))
          }),
        ),
      )
      more({ bytes: 7 })
    })
  }
  await step("unheard", {}, () => Promise.resolve())
  const spans = exporter.getFinishedSpans()
  const outer = spans.find(({ name }) => name === "back up")
  assert.deepEqual(outer?.attributes, { "backup_cloud.source": "docs", "backup_cloud.bytes": 7 })
  assert.equal(outer.parentSpanContext, undefined)
  const stored = spans.filter(({ name }) => name === "store object")
  assert.deepEqual(stored.map(({ attributes }) => attributes["backup_cloud.object"]).sort(), ["a", "b"])
  for (const { parentSpanContext } of stored) assert.equal(parentSpanContext?.spanId, outer.spanContext().spanId)
  assert.deepEqual(
    spans
      .filter(({ name }) => name === "seal")
      .map(({ parentSpanContext }) => parentSpanContext?.spanId)
      .sort(),
    stored.map((span) => span.spanContext().spanId).sort(),
  )
  assert.equal(spans.length, 5)
})

test("a step that fails names its fault, and not what people are told", async () => {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  using stack = new DisposableStack()
  stack.use(followSteps(provider.getTracer("test")))
  for (const error of [new BackupError("tampered", "of /srv/letters/ann"), new Error("of /srv/letters/ann")])
    await assert.rejects(
      step("verify", {}, () => Promise.reject(error)),
      error,
    )
  const spans = exporter.getFinishedSpans()
  assert.deepEqual(
    spans.map(({ status, events }) => ({ status, events })),
    ["tampered", "defect"].map((message) => ({ status: { code: SpanStatusCode.ERROR, message }, events: [] })),
  )
})

test("spans are sent to the collector that the environment names, by the end of it", async () => {
  await using there = await collector()
  process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = there.url
  const failures: string[] = []
  {
    await using stack = new AsyncDisposableStack()
    stack.use(sendTraces((why) => failures.push(why)))
    await step("verify", { source: "docs" }, () => Promise.resolve())
  }
  assert.deepEqual([failures, there.spans.map(({ name }) => name), there.service()], [[], ["verify"], "backup-cloud"])
})

test("a collector that refuses is told of once, and nothing else goes wrong", async () => {
  await using there = await collector()
  process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = `${there.url}/elsewhere`
  const failures: string[] = []
  {
    await using stack = new AsyncDisposableStack()
    stack.use(sendTraces((why) => failures.push(why)))
    for (let i = 0; i < 3; i++) await step("verify", {}, () => Promise.resolve())
  }
  assert.equal(failures.length, 1)
})

import assert from "node:assert/strict"
import { mkdirSync, writeFileSync } from "node:fs"
import { after, before, test } from "node:test"
import { collector } from "../../traces/test/collector.ts"
import { of, run } from "./run.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")

before(() => {
  mkdirSync(data)
  writeFileSync(`${data}/private-name`, "private content")
  world.start(data)
})
after(() => {
  world.end()
})

test("a backup sends its trace to the collector that the environment names, and of data nothing but counts", async () => {
  await using there = await collector()
  const { status, stderr } = await run(of(world, "admin", { OTEL_EXPORTER_OTLP_ENDPOINT: there.url }), "backup")
  assert.equal(status, 0, stderr)
  const byId = new Map(there.spans.map((span) => [span.spanId, span]))
  const path = (name: string): string[] => {
    const names: string[] = []
    let span = there.spans.find((each) => each.name === name)
    for (; span !== undefined; span = byId.get(span.parentSpanId ?? "")) names.unshift(span.name)
    return names
  }
  assert.deepEqual(path("load trust"), ["backup-cloud backup", "load trust"])
  assert.deepEqual(path("store object").slice(0, 1), ["backup-cloud backup"])
  assert.equal(new Set(there.spans.map(({ traceId }) => traceId)).size, 1)
  const objects = there.spans.filter(({ name }) => name === "store object")
  const named = objects.flatMap(({ attributes }) => attributes.filter(({ key }) => key === "backup_cloud.object"))
  assert.ok(named.some(({ value }) => /^backup\/docs\/.*\/volume-/.test(String(value["stringValue"]))))
  assert.equal(there.service(), "backup-cloud")
  assert.doesNotMatch(there.texts.join("\n"), /private|signing-key|passphrase/i)
})

test("without a collector there is a warning, and a backup all the same", async () => {
  const where = of(world, "admin", {
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9",
    OTEL_EXPORTER_OTLP_TIMEOUT: "500",
  })
  const { status, stderr, stdout } = await run(where, "backup")
  assert.equal(status, 0, stderr)
  assert.match(stderr, /WARNING: traces could not be sent: /)
  assert.match(stdout, /docs: complete/)
})

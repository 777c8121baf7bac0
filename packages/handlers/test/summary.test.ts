// The summary of a backup of many shards: what counts as what, the line of metrics, and that it throws where a shard failed.

import assert from "node:assert/strict"
import { type Mock, mock, test } from "node:test"
import { handler, metricsLine, type SummaryEvent, summarise } from "../src/summary.ts"

const done = (source: string, outcome = "complete") => ({
  source,
  outcome,
  files: 3,
  bytes: 100,
  stored: 10,
  errors: 0,
})
const event = (results: SummaryEvent["results"]): SummaryEvent => ({
  ...{ source: "uploads", shards: ["uploads-00", "uploads-01", "uploads-02"], results },
  started: "2026-11-23T22:15:00Z",
})

test("all complete is complete, and what the shards tell is added up", () => {
  assert.deepEqual(summarise(event([done("uploads-01"), done("uploads-00"), done("uploads-02")])), {
    ...{ source: "uploads", outcome: "complete", shards: 3, complete: 3, partial: 0, failed: 0 },
    ...{ files: 9, bytes: 300, stored: 30, errors: 0, incomplete: [] },
  })
})

test("one partial makes it partial, one failed makes it failed", () => {
  const partial = summarise(event([done("uploads-00"), done("uploads-01", "partial"), done("uploads-02")]))
  assert.deepEqual([partial.outcome, partial.partial, partial.incomplete], ["partial", 1, ["uploads-01"]])
  const failed = summarise(
    event([done("uploads-00", "partial"), done("uploads-01"), { source: "uploads-02", outcome: "failed" }]),
  )
  assert.deepEqual([failed.outcome, failed.failed, failed.partial], ["failed", 1, 1])
})

test("a shard without a result, one that is not done, and a stranger's result never make it complete", () => {
  assert.equal(summarise(event([done("uploads-00"), done("uploads-01")])).failed, 1)
  assert.equal(summarise(event([done("uploads-00"), done("uploads-01"), done("uploads-02", "continues")])).failed, 1)
  assert.equal(summarise(event([done("uploads-00"), done("uploads-01"), done("mail-00")])).failed, 1)
  assert.equal(summarise({ ...event([]), shards: [] }).outcome, "failed")
})

test("the metrics are those of the contract, under the common name", () => {
  const now = Date.parse("2026-11-23T22:17:30Z")
  const summary = summarise(event([done("uploads-00"), done("uploads-01"), done("uploads-02")]))
  const line = metricsLine(summary, Date.parse("2026-11-23T22:15:00Z"), now)
  assert.doesNotMatch(line, /\n/)
  const { _aws, Source, ...values } = JSON.parse(line) as Record<string, unknown> & {
    _aws: { Timestamp: number; CloudWatchMetrics: { Namespace: string; Dimensions: string[][]; Metrics: Named[] }[] }
  }
  const [definition] = _aws.CloudWatchMetrics
  assert.deepEqual([_aws.Timestamp, definition?.Namespace, definition?.Dimensions], [now, "BackupCloud", [["Source"]]])
  assert.deepEqual(definition?.Metrics.map(({ Name }) => Name).sort(), Object.keys(values).sort())
  assert.deepEqual([Source, values["Complete"], values["Failed"]], ["uploads", 1, 0])
  assert.deepEqual([values["DurationSeconds"], values["Bytes"], values["Files"]], [150, 300, 9])
})

interface Named {
  readonly Name: string
}

test("the function replies, or throws after the metrics are out, naming the shards and what to do", async () => {
  const log: Mock<typeof console.log> = mock.method(console, "log", () => undefined)
  try {
    const reply = await handler(event([done("uploads-00"), done("uploads-01"), done("uploads-02")]))
    assert.equal(reply.outcome, "complete")
    const bad = event([done("uploads-00"), { source: "uploads-01", outcome: "failed", error: "refused" }])
    await assert.rejects(handler(bad), {
      fault: "incomplete",
      message: /^2 of 3 shards of uploads .* uploads-01 \(refused\), uploads-02 \(no result\); what the others/,
      hint: /start the execution again/,
    })
    const failed = log.mock.calls.map(
      ({ arguments: [line] }) => (JSON.parse(String(line)) as { Failed: number }).Failed,
    )
    assert.deepEqual(failed, [0, 1])
  } finally {
    log.mock.restore()
  }
})

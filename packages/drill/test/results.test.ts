// Which results count, and what they say of what is overdue and how long a restore takes.

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { type DrillResult, drillCodec, names } from "@backup-cloud/format"
import { jsVerifier } from "@backup-cloud/openpgp/verify"
import { memoryStore } from "@backup-cloud/store"
import { enrolVerifier, removeOperator, retireVerifier, setDrillRule } from "@backup-cloud/trust"
import { drill as sample } from "../../format/test/drill-sample.ts"
import {
  collect,
  entry,
  hourly,
  jsPerson,
  makeArchive,
  type Person,
  signal,
  type TestArchive,
} from "../../trust/test/archive.ts"
import {
  drillResults,
  estimateFromDrills,
  type JudgedResult,
  overdueDrills,
  publishResult,
  type SignedResult,
  signResult,
} from "../src/index.ts"

interface Scene {
  readonly archive: TestArchive
  readonly vera: Person
}

/** An archive with the sources docs and mail, and a verifier of docs. Its clock goes on by an hour with each object. */
async function makeScene(now = hourly()): Promise<Scene> {
  const archive = await makeArchive(memoryStore({ now }), { verifier: jsVerifier() })
  await archive.addSource("docs")
  await archive.addSource("mail")
  const vera = await jsPerson("vera", "holder")
  await archive.amend([entry("holder", vera)], enrolVerifier({ ...vera, sources: ["docs"] }))
  return { archive, vera }
}

const HOUR = 3_600_000
const CREATED = Date.parse("2026-11-20T08:00:00Z")
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
const id = (n: number): string => `20261124T120000Z-${String(n).padStart(8, "0")}`

async function signed({ archive }: Scene, by: Person, more: Partial<DrillResult>): Promise<SignedResult> {
  const trust = await archive.load()
  const result = {
    ...sample,
    archive: trust.archive.archive,
    operator: by.certificate.fingerprint,
    source: "docs",
    ...more,
  }
  return await signResult(result, by.signer, signal)
}

async function put(scene: Scene, by: Person, more: Partial<DrillResult>): Promise<DrillResult> {
  const { archive } = scene
  return await publishResult(await archive.load(), archive.store, await signed(scene, by, more), signal)
}

const judged = async ({ archive }: Scene): Promise<JudgedResult[]> =>
  await collect(drillResults(await archive.load(), archive.store, signal))
const why = async (scene: Scene): Promise<Record<string, string | null>> =>
  Object.fromEntries((await judged(scene)).map((each) => [each.name.slice(-7, -5), each.why]))

test("a result is of an operator or of the source's verifier, and of nobody else", async () => {
  const scene = await makeScene()
  const { archive, vera } = scene
  await put(scene, archive.operator, { id: id(1) })
  await put(scene, vera, { id: id(2) })
  await put(scene, archive.operator, { id: id(3), source: "mail" })
  for (const [by, more] of [
    [vera, { source: "mail" }],
    [archive.admin, {}],
    [archive.holders[0] ?? vera, {}],
    [vera, { operator: archive.operator.certificate.fingerprint }],
    [archive.operator, { archive: "f".repeat(32) }],
  ] as const)
    await assert.rejects(put(scene, by, { id: id(9), ...more }), { fault: "refused" })
  assert.deepEqual(
    (await judged(scene)).map(({ name }) => name),
    [3, 2, 1].map((n) => names.drill(id(n))),
  )
  assert.deepEqual(await why(scene), { "01": null, "02": null, "03": null })
})

test("publishing again finishes, and another result of the same name is a conflict", async () => {
  const scene = await makeScene()
  const { operator, store } = scene.archive
  await put(scene, operator, { id: id(1) })
  await store.remove(`${names.drill(id(1))}.sig`, signal)
  assert.deepEqual(await judged(scene), [])
  await put(scene, operator, { id: id(1) })
  await put(scene, operator, { id: id(1) })
  assert.deepEqual(await why(scene), { "01": null })
  await assert.rejects(put(scene, operator, { id: id(1), total_ms: 1 }), { fault: "conflict" })
})

test("who retires keeps what arrived before, and adds nothing", async () => {
  const clock = { hours: 0 }
  const scene = await makeScene(() => new Date(CREATED + clock.hours * HOUR))
  const { archive, vera } = scene
  const { created } = (await archive.load()).policy
  clock.hours = (Date.parse(created) - CREATED) / HOUR + 0.5
  await put(scene, archive.operator, { id: id(1) })
  await put(scene, vera, { id: id(2) })
  await archive.amend([], removeOperator(archive.operator.certificate.fingerprint))
  await archive.amend([], retireVerifier(vera.certificate.fingerprint))
  clock.hours += 10
  for (const [n, by] of [
    [3, archive.operator],
    [4, vera],
  ] as const) {
    await assert.rejects(put(scene, by, { id: id(n) }), { fault: "refused" })
    // With the right to write there, but no longer to sign.
    const { bytes, signature } = await signed(scene, by, { id: id(n) })
    for (const [name, content] of [
      [names.drill(id(n)), bytes],
      [`${names.drill(id(n))}.sig`, signature],
    ] as const)
      await archive.store.create(name, [content], sha256(content), signal)
  }
  const nobody = "is signed by nobody who was an operator or the source's verifier"
  assert.deepEqual(await why(scene), { "01": null, "02": null, "03": nobody, "04": nobody })
})

test("what was changed in the archive does not count", async () => {
  const scene = await makeScene()
  const { archive } = scene
  for (const n of [1, 2, 3, 4]) await put(scene, archive.operator, { id: id(n) })
  const change = async (n: number, to: (text: string) => string): Promise<void> => {
    const name = names.drill(id(n))
    await archive.replace(name, Buffer.from(to(Buffer.from(await archive.read(name)).toString())))
  }
  await change(1, (text) =>
    text.replace('"passed",\n  "entries"', '"failed",\n  "entries"').replace('"reason": ""', '"reason": "x"'),
  )
  await change(2, (text) => text.replace(id(2), id(3)))
  await change(3, () => "PAY UP\n")
  await archive.replace(`${names.drill(id(4))}.sig`, await archive.read(`${names.drill(id(1))}.sig`))
  assert.deepEqual(await why(scene), {
    "01": "has no signature that counts",
    "02": "has another id than its name",
    "03": "is not JSON",
    "04": "has no signature that counts",
  })
})

const DAY = 86_400_000

test("a source is overdue without a drill that passed and counts, or after its days", async () => {
  const scene = await makeScene()
  const { archive } = scene
  const rule = { every_days: 30, rto_minutes: 0, rpo_minutes: 0 }
  await archive.amend([], setDrillRule("docs", rule), setDrillRule("mail", { ...rule, every_days: 7 }))
  const overdue = async (now: number): Promise<string[]> => {
    const found = await overdueDrills(
      await archive.load(),
      drillResults(await archive.load(), archive.store, signal),
      new Date(now),
    )
    return found.map((each) => each.rule.source)
  }
  const start = Date.parse("2026-11-24T12:00:00Z")
  assert.deepEqual(await overdue(start), ["docs", "mail"])
  await put(scene, archive.operator, { id: id(1), source: "docs" })
  await put(scene, archive.operator, { id: id(2), source: "mail", outcome: "failed", reason: "slow" })
  const arrived = (await judged(scene)).at(-1)?.arrived.getTime() ?? 0
  const ended = Math.min(arrived, Date.parse(sample.finished))
  assert.deepEqual(await overdue(ended), ["mail"])
  assert.deepEqual(await overdue(ended + 30 * DAY), ["mail"])
  assert.deepEqual(await overdue(ended + 30 * DAY + 1), ["docs", "mail"])
  // Whatever a result says, it did not end after it arrived.
  await put(scene, archive.operator, { id: id(3), source: "mail", finished: "2036-01-01T00:00:00Z" })
  assert.deepEqual(await overdue(ended + 365 * DAY), ["docs", "mail"])
})

test("an estimate goes by the last drills of the source that brought all back, else by those of others", () => {
  const base = { ...sample, checks: [{ name: "restored", outcome: "passed" as const }] }
  const result = (more: Partial<DrillResult>): JudgedResult => ({
    ...{ name: "drills/x", why: null, arrived: new Date(0) },
    result: { ...base, source: "docs", bytes: 1_000_000, first_byte_ms: 500, total_ms: 1500, ...more },
  })
  const run = (source: string, bytes: number) =>
    ({ source, receipt: { bytes } }) as unknown as Parameters<typeof estimateFromDrills>[0]
  const docs = estimateFromDrills(run("docs", 8_000_000), [result({})])
  assert.deepEqual([docs?.milliseconds, docs?.rate, docs?.count], [8500, 1_000_000, 1])
  const twice = [result({ total_ms: 2500 }), result({}), result({ source: "mail", total_ms: 90_000 })]
  assert.deepEqual(estimateFromDrills(run("docs", 2_000_000), twice)?.milliseconds, 3500)
  assert.equal(estimateFromDrills(run("wiki", 1_000_000), [result({})])?.milliseconds, 1500)
  const useless = [
    result({ checks: [{ name: "restored", outcome: "failed" }] }),
    result({ bytes: 0 }),
    { ...result({}), why: "has no signature that counts" },
    { ...result({}), result: null },
  ]
  assert.equal(estimateFromDrills(run("docs", 1), useless), null)
  assert.ok(drillCodec.encode(base).length > 0)
})

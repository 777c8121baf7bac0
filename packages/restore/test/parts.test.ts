import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { type CatalogueEntry, names, type ReleaseRequest, requestCodec } from "@backup-cloud/format"
import { readRuns, selectRun } from "@backup-cloud/trust"
import { dirTarget } from "../../source-dir/src/target.ts"
import {
  catalogueEntries,
  fileContent,
  makeRequest,
  neededVolumes,
  openRoot,
  planLines,
  planRestore,
  type RequestInput,
  restore,
  salvagedEntries,
  usedRuns,
} from "../src/index.ts"
import { makeWorld, NOW, SOURCE, signal, type TestEntry, top, type World } from "./make-run.ts"

const RUN_A = "20261120T100000Z-0000000a"
const RUN_B = "20261121T100000Z-0000000b"

const files: readonly TestEntry[] = [
  top,
  ...Array.from({ length: 12 }, (_, i) => `d${i}`).flatMap((d): TestEntry[] => [
    { type: "d", path: d },
    { type: "f", path: `${d}/f`, content: Buffer.alloc(900, `content of ${d}; `) },
  ]),
]

async function world(t: { after(fn: () => void): void }): Promise<{ world: World; folder: string }> {
  const folder = fs.mkdtempSync(join(tmpdir(), "parts-"))
  t.after(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  return { world: await makeWorld(join(folder, "archive")), folder }
}

async function all<T>(input: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const each of input) found.push(each)
  return found
}

test("a damaged catalogue volume costs the entries that it cuts, and no others", async (t) => {
  const { world: w, folder } = await world(t)
  const a = await w.make({ run: RUN_A, entries: files })
  await w.damage(a, names.catalogue(2), "flip")
  const view = await w.view(a.run, w.secrets(a), true)
  const root = await openRoot(view, signal)
  await assert.rejects(all(catalogueEntries(view, root, signal)), { fault: "tampered" })
  const holes: string[] = []
  const entries = (): AsyncIterable<CatalogueEntry> =>
    salvagedEntries(view, root, (why) => holes.push(why.fault), signal)
  const plan = await planRestore(entries, null)
  assert.ok(holes.length >= 1 && holes.every((fault) => fault === "tampered"))
  const to = join(folder, "to")
  const result = await restore({
    view,
    plan,
    target: dirTarget({ root: to }),
    what: "x",
    salvage: true,
    onEvent: () => undefined,
    signal,
  })
  assert.ok(result.files >= 6 && result.files < 12, `${result.files} of 12 files`)
  const restored = files.filter((e) => e.type === "f" && fs.existsSync(join(to, e.path)))
  assert.equal(restored.length, result.files)
  for (const e of restored) assert.deepEqual(fs.readFileSync(join(to, e.path)), e.content)
})

test("one file into a pipe: wrong content is found out at the end", async (t) => {
  const { world: w } = await world(t)
  const content = Buffer.alloc(9_000, "0123456789")
  const entries: readonly TestEntry[] = [top, { type: "f", path: "file", content }]
  const wrong = (text: string): string => text.replace(/(f .* )[0-9a-f]{64}/, `$1${"0".repeat(64)}`)
  for (const [run, editText] of [[RUN_A, (text: string) => text] as const, [RUN_B, wrong] as const]) {
    const a = await w.make({ run, entries, editText })
    const view = await w.view(a.run, w.secrets(a))
    const [, entry] = await all(catalogueEntries(view, await openRoot(view, signal), signal))
    assert.ok(entry !== undefined)
    const reading = all(fileContent(view, entry, signal))
    if (run === RUN_A) assert.deepEqual(Buffer.concat(await reading), content)
    else await assert.rejects(reading, { fault: "tampered" })
  }
})

test("a request asks for exactly what its kind needs and brings the evidence", async (t) => {
  const { world: w } = await world(t)
  const a = await w.make({ run: RUN_A, entries: files })
  const b = await w.make({
    run: RUN_B,
    entries: [...files, { type: "f", path: "new", content: Buffer.from("new") }],
    uses: [a],
  })
  const trust = await w.load()
  const runs = await readRuns(trust, w.store, SOURCE, signal)
  const run = selectRun(runs, b.run)
  const input: RequestInput = {
    trust,
    reader: w.store,
    run,
    runs: usedRuns(run, runs.runs),
    ask: { kind: "run" },
    reason: "the disk broke",
    expires: new Date(NOW.getTime() + 3_600_000),
    operator: w.operator.signer,
    id: new Uint8Array(16).fill(7),
    now: NOW,
    signal,
  }
  const asked = async (ask: RequestInput["ask"]): Promise<ReleaseRequest> => {
    const message = await makeRequest({ ...input, ask })
    const bytes = await w.verifier.message(message, w.operator.certificate, "request", signal)
    return requestCodec.decode(bytes, "request")
  }
  const whole = await asked({ kind: "run" })
  assert.deepEqual(whole.wants, [{ run: RUN_A, root: 0, volumes: "1-3", catalogues: "" }])
  assert.deepEqual(
    whole.evidence.map((e) => [e.run, e.receipts.length]),
    [
      [RUN_A, 1],
      [RUN_B, 1],
    ],
  )
  assert.equal(
    Buffer.from(whole.evidence[1]?.key ?? "", "base64").equals(await w.read(`backup/docs/${RUN_B}/key.gpg`)),
    true,
  )
  assert.ok(whole.trust.some((each) => each.name === "archive.json"))
  assert.ok(whole.trust.some((each) => each.name === names.policy(2)))

  const catalogue = await asked({ kind: "catalogue" })
  assert.deepEqual(
    catalogue.wants.map((want) => [want.run, want.root, want.volumes]),
    [[RUN_B, 1, ""]],
  )

  const view = await w.view(b.run, w.secrets(a, b))
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), {
    judge: (path) => (path === "new" || path === "d0" || path === "d0/f" ? "take" : "leave"),
  })
  assert.deepEqual(planLines(plan), [
    "4 entries, of them 2 files with 903 bytes",
    `volumes 1 of run ${RUN_A}`,
    `volumes 1 of run ${RUN_B}`,
  ])
  const volumes = await asked({ kind: "volumes", needed: neededVolumes(plan) })
  assert.deepEqual(
    volumes.wants.map((want) => [want.run, want.root, want.volumes, want.catalogues]),
    [
      [RUN_A, 0, "1", ""],
      [RUN_B, 0, "1", ""],
    ],
  )

  await assert.rejects(makeRequest({ ...input, expires: NOW }), { fault: "usage" })
  await assert.rejects(makeRequest({ ...input, reason: " " }), { fault: "usage" })
  const stranger = w.holders[0]?.signer
  assert.ok(stranger !== undefined)
  await assert.rejects(makeRequest({ ...input, operator: stranger }), { fault: "refused" })
  const receipt = `backup/docs/${RUN_A}/${names.receipt(1)}`
  await w.replace(receipt, Buffer.from("{}\n"))
  await assert.rejects(makeRequest(input), { fault: "tampered" })
})

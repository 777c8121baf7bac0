// Drills of a run that is whole, damaged, late or restored wrongly, and of a program whose comparison is switched off.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { BackupError, type DrillResult, names } from "@backup-cloud/format"
import { dirTarget } from "../../source-dir/src/target.ts"
import type { Drill } from "../src/index.ts"
import { makeScene, RUN, type Scene } from "./scene.ts"

/** Names of what did not come out as it should. */
const failing = ({ controls, checks }: DrillResult): string[] =>
  [...controls, ...checks].filter(({ outcome }) => outcome === "failed").map(({ name }) => name)

test("a run that is whole passes, and every control fails as it must", async (t) => {
  const scene = await makeScene(t)
  let ticks = Date.parse("2026-11-24T12:00:00Z")
  const { result, fault, events } = await scene.drill({ now: () => new Date((ticks += 1000)) })
  assert.deepEqual(failing(result), [])
  assert.equal(fault, null)
  assert.equal(result.outcome, "passed")
  assert.equal(result.reason, "")
  assert.equal(result.sums, scene.run.sums)
  assert.deepEqual(
    result.controls.map(({ name }) => name),
    ["changed-file", "flipped-byte", "missing-volume", "wrong-release"],
  )
  assert.deepEqual(
    result.checks.map(({ name }) => name),
    ["files", "restored"],
  )
  assert.ok(result.first_byte_ms > 0 && result.total_ms > 0)
  assert.ok(result.age_seconds > 26 * 3600 && result.age_seconds < 27 * 3600)
  assert.deepEqual(
    events.filter(({ event }) => event === "step").map((event) => "step" in event && event.step),
    ["restore", "compare", "controls"],
  )
})

for (const [how, base] of [
  ["flip", names.volume(1)],
  ["remove", names.volume(1)],
  ["flip", names.catalogue(1)],
  ["remove", names.root(1)],
] as const)
  test(`an archive that is damaged fails: ${how} ${base}`, async (t) => {
    const scene = await makeScene(t)
    await scene.world.damage(scene.run, base, how)
    const { result, fault, events } = await scene.drill()
    assert.equal(fault, how === "flip" ? "tampered" : "incomplete")
    assert.deepEqual(failing(result), ["restored"])
    assert.equal(result.reason, `the restore ended as ${fault}`)
    assert.ok(events.some((event) => event.event === "trouble" && event.why.includes(base)))
  })

/** A target that spoils what it wrote, once all is written. */
const spoilt =
  (spoil: (root: string) => void): Drill["target"] =>
  (root) => {
    const target = dirTarget({ root })
    return new Proxy(target, {
      get(of, name) {
        const member: unknown = Reflect.get(of, name)
        if (typeof member !== "function") return member
        if (name !== "finish") return member.bind(of) as unknown
        return async (signal: AbortSignal) => {
          const problems = await of.finish(signal)
          if (root.endsWith("tree")) spoil(root)
          return problems
        }
      },
    })
  }

const wrong: readonly (readonly [string, (root: string) => void, readonly string[]])[] = [
  [
    "a file is missing",
    (root) => {
      fs.rmSync(join(root, "zürich"))
    },
    [". has another time", "z.rich is missing"],
  ],
  [
    "one is too many",
    (root) => {
      fs.writeFileSync(join(root, "zz"), "")
    },
    [". has another time", "zz is there"],
  ],
  [
    "a file has other content of the same size",
    (root) => {
      const { mtime } = fs.statSync(join(root, "zürich-empty"))
      fs.appendFileSync(join(root, "zürich"), "")
      fs.writeFileSync(join(root, "zürich"), "Grüezo\n")
      fs.utimesSync(join(root, "zürich"), mtime, mtime)
    },
    ["z.rich has (?:another time|other content)", "z.rich has other content"],
  ],
  [
    "a file has another time",
    (root) => {
      fs.utimesSync(join(root, "zürich"), 1, 1)
    },
    ["z.rich has another time"],
  ],
  [
    "a file has other rights",
    (root) => {
      fs.chmodSync(join(root, "zürich"), 0o600)
    },
    ["z.rich has other rights"],
  ],
  [
    "a link points elsewhere",
    (root) => {
      fs.rmSync(join(root, "link"))
      fs.symlinkSync("elsewhere", join(root, "link"))
    },
    [". has another time", "link has another time", "link points elsewhere"],
  ],
  [
    "a hard link is a copy",
    (root) => {
      fs.rmSync(join(root, "hard"))
      fs.copyFileSync(join(root, "folder/large"), join(root, "hard"))
    },
    [". has another time", "hard is not another name"],
  ],
  [
    "a folder is a file",
    (root) => {
      fs.chmodSync(join(root, "closed"), 0o700)
      fs.rmSync(join(root, "closed"), { recursive: true })
      fs.writeFileSync(join(root, "closed"), "")
    },
    [". has another time", "closed is of another type", "closed/note is missing"],
  ],
]
for (const [what, spoil, found] of wrong)
  test(`what a restore got wrong is found: ${what}`, async (t) => {
    const scene = await makeScene(t)
    const { result, fault, events } = await scene.drill({ target: spoilt(spoil) })
    assert.equal(fault, "differs")
    assert.deepEqual(failing(result), ["files"])
    const told = events.flatMap((event) => (event.event === "difference" ? [`${event.path} ${event.what}`] : []))
    for (const each of found)
      assert.ok(
        told.some((line) => new RegExp(`^${each.replace("z.rich", "z..rich")}`, "s").test(line)),
        `${each}: ${told.join()}`,
      )
    assert.equal(result.differences, told.length)
    assert.doesNotMatch(JSON.stringify(result), /rich|closed|link|hard\b/, "a name of a file in a public result")
  })

test("a drill whose comparison is switched off fails by its control", async (t) => {
  const scene = await makeScene(t)
  const never: Drill["compare"] = async ({ entries }) => {
    for await (const { path } of entries) assert.notEqual(path, "")
  }
  const { result, fault } = await scene.drill({ compare: never })
  assert.deepEqual(failing(result), ["changed-file"])
  assert.equal(fault, "alarm")
  assert.match(result.reason, /^the control changed-file did not fail/)
  // One that does not even look at the catalogue is no proof either.
  assert.equal((await scene.drill({ compare: async () => undefined })).result.outcome, "failed")
})

test("so does one that opens what no release opens", async (t) => {
  const scene = await makeScene(t)
  const secrets = scene.world.secrets(scene.run)
  const view = await scene.world.view(RUN, secrets)
  const right = [...view.run.objects.keys()].map((base) => secrets.passphraseFor(RUN, base) ?? "")
  const anyhow = async function* (message: AsyncIterable<Uint8Array>, given: string, stop: AbortSignal) {
    // A wrong passphrase is a right one but for its first digit.
    yield* view.opener.open(message, right.find((each) => each.slice(1) === given.slice(1)) ?? given, stop)
  }
  const { result, fault } = await scene.drill({ view: { ...view, opener: { open: anyhow } } })
  assert.deepEqual([failing(result), fault], [["wrong-release"], "alarm"])
})

const rule = { source: "docs", every_days: 30, rto_minutes: 0, rpo_minutes: 0 }

test("a missed objective fails, and the next better one passes", async (t) => {
  const scene = await makeScene(t)
  const late = await scene.drill({ rule: { ...rule, rpo_minutes: 26 * 60 - 1 } })
  assert.deepEqual([failing(late.result), late.fault], [["rpo"], "open-risk"])
  assert.deepEqual(failing((await scene.drill({ rule: { ...rule, rpo_minutes: 26 * 60 } })).result), [])
  // A disk is as old as the rules of media let it be.
  const disk = { from: "0123456789abcdef0123456789abcdef", rule: { ...rule, rpo_minutes: 1 } }
  assert.deepEqual(failing((await scene.drill(disk)).result), [])
  const slow = (minutes: number) => {
    let ticks = Date.parse("2026-11-24T12:00:00Z")
    return { now: () => new Date((ticks += 50_000)), rule: { ...rule, rto_minutes: minutes } }
  }
  const missed = await scene.drill(slow(1))
  assert.deepEqual([failing(missed.result), missed.fault], [["rto"], "open-risk"])
  assert.deepEqual(failing((await scene.drill(slow(60))).result), [])
})

test("the owner's check and a server's rows decide as well", async (t) => {
  const scene = await makeScene(t)
  const seen: string[] = []
  const good = await scene.drill({
    check: async (root) => {
      seen.push(fs.readFileSync(join(root, "zürich"), "utf8"), fs.readFileSync(join(root, "folder/small"), "utf8"))
      fs.rmSync(join(root, "folder"), { recursive: true })
      return true
    },
    load: async ({ plan }) => void seen.push(String(plan.files)),
  })
  assert.deepEqual(failing(good.result), [])
  assert.deepEqual(seen, ["5", "Grüezi\n", "abc"])
  const bad = await scene.drill({
    check: async () => false,
    load: async () => {
      throw new BackupError("differs", "shop.orders has 3 rows, and had 4 when it was backed up")
    },
  })
  assert.deepEqual(failing(bad.result), ["databases", "owner"])
  assert.equal(bad.fault, "differs")
  assert.doesNotMatch(bad.result.reason, /shop/)
})

test("nothing is no proof", async (t) => {
  const scene = await makeScene(t, [
    { type: "d", path: "." },
    { type: "f", path: "empty", content: new Uint8Array(0) },
  ])
  const { result, fault } = await scene.drill()
  assert.deepEqual([result.outcome, fault, result.controls], ["failed", "differs", []])
  assert.match(result.reason, /no content/)
})

test("what says nothing about the archive is no result", async (t) => {
  const scene: Scene = await makeScene(t)
  const view = await scene.world.view(RUN, { passphraseFor: () => null })
  await assert.rejects(scene.drill({ view }), { fault: "refused" })
  const stop = new AbortController()
  const check = async (): Promise<boolean> => {
    stop.abort()
    throw stop.signal.reason
  }
  await assert.rejects(scene.drill({ check, signal: stop.signal }), { name: "AbortError" })
})

/** A drill of its own process, which says how it came out and what it left. */
const alone = `
const { openScratch } = await import(${JSON.stringify(import.meta.resolve("../src/index.ts"))})
const { makeScene } = await import(${JSON.stringify(import.meta.resolve("./scene.ts"))})
const { readdirSync } = await import("node:fs")
const undo = []
const scene = await makeScene({ after: (fn) => undo.push(fn) })
const scratch = await openScratch(scene.folder)
const { result, events } = await scene.drill({ scratch: scratch.folder })
await scratch[Symbol.asyncDispose]()
const told = events.filter(({ event }) => event === "difference" || event === "trouble")
console.log(JSON.stringify({ outcome: result.outcome, told, left: readdirSync(scene.folder) }))
for (const fn of undo) await fn()
`
test("who is not root compares and removes also what its owner may not read", () => {
  // Root reads everything, so it is somebody else then.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const args = ["--conditions=source", "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", alone]
  const said = execFileSync(process.execPath, args, { encoding: "utf8", cwd: tmpdir(), ...nobody })
  assert.deepEqual(JSON.parse(said), { outcome: "passed", told: [], left: ["archive", "scratch-0"] })
})

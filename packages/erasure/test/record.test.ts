// Records made as the administrator makes them, in archives with real keys, and opened as operators and holders open them.

import assert from "node:assert/strict"
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { type Erasure, names } from "@backup-cloud/format"
import { generateKey } from "@backup-cloud/openpgp/keygen"
import { jsPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { jsSealer } from "@backup-cloud/openpgp/seal"
import { jsSigner } from "@backup-cloud/openpgp/sign"
import { jsVerifier } from "@backup-cloud/openpgp/verify"
import { memoryStore, type Store } from "@backup-cloud/store"
import { enrolOperator, knownErasures, memoryInMemory, removeOperator } from "@backup-cloud/trust"
import { erasingFor, openErasures } from "../../restore/src/index.ts"
import { entry, hourly, makeArchive, type Person, signal } from "../../trust/test/archive.ts"
import { addErasure, type ErasureDraft, keptErasures, type Recording, renewErasures } from "../src/index.ts"

const folder = mkdtempSync(join(tmpdir(), "erasure-"))
after(() => {
  rmSync(folder, { recursive: true })
})

const draft: ErasureDraft = {
  ...{ source: "docs", until: null, paths: ["/b", "/a"], files: ["z", "x"], sql: "", database: "" },
  ...{ reason: "asked", ticket: "7", replaces: [] },
}
const NOW = new Date("2026-11-24T12:00:00Z")

async function makeWorld(store: Store = memoryStore({ now: hourly() })) {
  const keys = new Map<string, Uint8Array>()
  const person = async (name: string): Promise<Person> => {
    const key = await generateKey({ userId: `${name} <${name}@example.org>`, kind: "holder" })
    keys.set(name, key.secretKey)
    const certificate = await jsVerifier().certificate(key.certificate.bytes, name, signal)
    return { name, certificate, signer: await jsSigner(key.secretKey) }
  }
  const archive = await makeArchive(store, { person })
  await archive.addSource("docs")
  const home = memoryInMemory()
  const kept = mkdtempSync(join(folder, "kept-"))
  const recording = async (more: Partial<Recording> = {}): Promise<Recording> => ({
    ...{ store, trust: await archive.load(), home, kept: keptErasures(kept), sealer: jsSealer() },
    ...{ signer: archive.admin.signer, now: NOW, signal },
    ...more,
  })
  const sealed = async () => await knownErasures(await archive.load(), store, memoryInMemory(), signal)
  const opener = (name: string) => jsPrivateOpener(keys.get(name) ?? new Uint8Array())
  const open = async (name: string): Promise<readonly Erasure[]> =>
    await openErasures(await sealed(), (await archive.load()).archive.archive, opener(name), signal)
  return { archive, store, home, kept, recording, open, opener, sealed, person }
}

test("a record says what was meant, to every holder and operator and to nobody else; a copy stays with the administrator", async () => {
  const world = await makeWorld()
  assert.equal(await addErasure(await world.recording(), draft), 1)
  assert.equal(await addErasure(await world.recording(), { ...draft, until: "", paths: ["/c"] }), 2)
  for (const name of ["anna", "berta", "otto"]) {
    const [first, second] = await world.open(name)
    const { number, created, previous, source, until, paths, files, reason, ticket, replaces } =
      first ?? ({} as Erasure)
    assert.deepEqual(
      { number, created, previous, source, until, paths, files, reason, ticket, replaces },
      {
        ...{ number: 1, created: "2026-11-24T12:00:00Z", previous: "", source: "docs", until: "2026-11-24T12:00:00Z" },
        ...{ paths: ["/a", "/b"], files: ["x", "z"], reason: "asked", ticket: "7", replaces: [] },
      },
    )
    assert.deepEqual([second?.number, second?.until, second?.previous], [2, "", (await world.sealed())[0]?.sha256])
  }
  await assert.rejects(world.open("admin"), { fault: "refused" })
  assert.deepEqual(readdirSync(world.kept), ["000001.json", "000001.json.gpg", "000002.json", "000002.json.gpg"])
  assert.equal(statSync(join(world.kept, "000001.json")).mode & 0o777, 0o600)
  assert.equal((await world.home.read())?.erasures, undefined, "a home that pins nobody remembers nothing")
})

test("what was interrupted is finished by recording the same again, and by nothing else", async () => {
  const memory = memoryStore({ now: hourly() })
  let broken = ""
  const world = await makeWorld({
    ...memory,
    async create(name, ...more) {
      if (name === broken) throw new Error("pulled the plug")
      return await memory.create(name, ...more)
    },
  })
  const object = names.erasure(1)
  const later = { now: new Date("2026-11-25T12:00:00Z") }
  // Before the object is there, nothing has happened.
  broken = object
  await assert.rejects(addErasure(await world.recording(), draft), /plug/)
  assert.deepEqual(await world.sealed(), [])
  broken = `${object}.sig`
  await assert.rejects(addErasure(await world.recording(), draft), /plug/)
  await assert.rejects(world.sealed(), { fault: "refused", message: /000001.*signature/ })
  broken = ""
  await assert.rejects(addErasure(await world.recording(), { ...draft, reason: "other" }), {
    fault: "conflict",
    message: /another erasure was begun/,
  })
  const elsewhere = { kept: keptErasures(join(folder, "elsewhere")) }
  await assert.rejects(addErasure(await world.recording(elsewhere), draft), {
    fault: "conflict",
    message: /did not make it/,
  })
  assert.equal(await addErasure(await world.recording(later), draft), 1)
  assert.equal((await world.open("otto"))[0]?.created, "2026-11-24T12:00:00Z")
  assert.equal(await addErasure(await world.recording(later), draft), 2, "the same again is another one")
})

test("without the administrator's key, or for a source that nobody knows, nothing is stored", async () => {
  const world = await makeWorld()
  const { signer } = world.archive.operator
  const refusing = { ...signer, detached: async () => await Promise.reject(new Error("no key")) }
  await assert.rejects(addErasure(await world.recording({ signer: refusing }), draft), /no key/)
  await assert.rejects(addErasure(await world.recording(), { ...draft, source: "others" }), { fault: "usage" })
  await assert.rejects(addErasure(await world.recording(), { ...draft, paths: [], files: [] }), { fault: "usage" })
  assert.deepEqual(
    (await world.archive.list()).filter((name) => name.startsWith("erasures/")),
    [],
  )
})

test("records are said again for those who came later; each of them can be opened or is replaced", async () => {
  const world = await makeWorld()
  const { archive, recording } = world
  for (const reason of ["one", "two"]) await addErasure(await recording(), { ...draft, reason })
  assert.deepEqual(await renewErasures(await recording()), new Map(), "nobody is new")
  const nina = await world.person("nina")
  await archive.amend([entry("operator", nina)], enrolOperator(nina))
  await assert.rejects(world.open("nina"), { fault: "refused", message: /not sealed to a key that you have/ })
  await addErasure(await recording(), { ...draft, reason: "three" })
  await assert.rejects(world.open("nina"), { fault: "refused" })
  assert.deepEqual(
    await renewErasures(await recording()),
    new Map([
      [1, 4],
      [2, 5],
    ]),
  )
  const said = (all: readonly Erasure[]) => all.map(({ reason, replaces }) => [reason, ...replaces])
  const expected = [["three"], ["one", 1], ["two", 2]]
  assert.deepEqual(said(await world.open("nina")), expected)
  assert.deepEqual(said(await world.open("otto")), expected)
  // Once more: what is said again replaces all that it stands for.
  const olaf = await world.person("olaf")
  await archive.amend([entry("operator", olaf)], enrolOperator(olaf))
  await renewErasures(await recording())
  assert.deepEqual(said(await world.open("olaf")), [
    ["three", 3],
    ["one", 1, 4],
    ["two", 2, 5],
  ])
  // A home that lacks the text of one says none again.
  await archive.amend([], removeOperator(olaf.certificate.fingerprint))
  rmSync(join(world.kept, "000002.json"))
  await assert.rejects(renewErasures(await recording()), { fault: "not-found", message: /000002/ })
  assert.equal((await world.sealed()).length, 8)
})

test("a restore refuses fewer records than are stated, and honours none only by releases that all say so", async () => {
  const world = await makeWorld()
  await addErasure(await world.recording(), draft)
  await addErasure(await world.recording(), { ...draft, until: "2026-11-20T00:00:00Z", reason: "of old" })
  const trust = await world.archive.load()
  const started = (time: string) => ({ source: "docs", receipt: { started: time } as never })
  const erasing = async (
    erasures: number[],
    without = false,
    allowed: boolean[] = [],
    run = started("2026-11-19T00:00:00Z"),
  ) =>
    await erasingFor({
      ...{
        sealed: await world.sealed(),
        archive: trust.archive.archive,
        opener: world.opener("otto"),
        run,
        without,
        signal,
      },
      releases: erasures.map((number, i) => ({ erasures: number, without_erasures: allowed[i] ?? false })),
    })
  assert.deepEqual((await erasing([2])).numbers, [1, 2])
  assert.deepEqual((await erasing([0])).numbers, [1, 2], "records made after the release count as well")
  assert.deepEqual((await erasing([])).numbers, [1, 2])
  for (const stated of [[3], [0, 3]])
    await assert.rejects(erasing(stated), { fault: "refused", message: /states 3 erasures, and 2/ })
  await assert.rejects(erasing([3], true, [true]), { fault: "refused" })
  for (const allowed of [[], [false], [true, false]])
    await assert.rejects(
      erasing(
        allowed.map(() => 2),
        true,
        allowed,
      ),
      { fault: "refused", message: /no release given allows/ },
    )
  assert.deepEqual((await erasing([2, 2], true, [true, true])).numbers, [])
  assert.deepEqual((await erasing([2], false, [true])).numbers, [1, 2], "a release alone brings nothing back")
  // Which runs a record is about goes by when they began.
  assert.deepEqual((await erasing([2], false, [], started("2026-11-20T00:00:01Z"))).numbers, [1])
  assert.deepEqual((await erasing([2], false, [], started("2026-11-24T12:00:00Z"))).numbers, [1])
  assert.deepEqual((await erasing([2], false, [], started("2026-11-24T12:00:01Z"))).numbers, [])
  const other = await erasing([2], false, [], { ...started("2026-11-19T00:00:00Z"), source: "other" })
  assert.deepEqual(other.numbers, [])
})

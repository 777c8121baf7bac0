// From the request to the release and back to the operator, with real gpg on both sides.

import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { derivedPassphrase, type Release, type ReleaseRequest, releaseCodec } from "@backup-cloud/format"
import { type ApproveInput, approve, type Ledger, type Narrow, openLedger, reviewRequest } from "../src/index.ts"
import { type Doors, openDoors } from "./doors.ts"
import {
  first,
  type Good,
  keyOf,
  makeGood,
  makePolicy,
  makeRequest,
  makeTrust,
  makeWorld,
  now,
  type Person,
  second,
  send,
  type World,
} from "./fixture.ts"

let world: World
let good: Good
let doors: Doors
let folder: string
before(() => {
  world = makeWorld()
  good = makeGood(world)
  doors = openDoors(world.gpg.home)
  folder = mkdtempSync(join(tmpdir(), "kh-approve-"))
})
after(async () => {
  await doors.close()
  world.gpg.close()
  rmSync(folder, { recursive: true })
})

const signal = new AbortController().signal
let ledgers = 0
const newLedger = (): Promise<Ledger> => openLedger(join(folder, `ledger-${ledgers++}.jsonl`))

interface Answer {
  readonly release: Release
  readonly message: Uint8Array
  readonly ledger: Ledger
}

async function answer(
  change: Partial<ReleaseRequest> = {},
  options: { narrow?: Narrow; holder?: Person; at?: Date; bend?: Partial<ApproveInput> } = {},
): Promise<Answer> {
  const ledger = options.bend?.ledger ?? (await newLedger())
  const review = await reviewRequest({
    request: send(world, makeRequest(world, good, change)),
    administrator: world.who.admin.fingerprint,
    ledger,
    verifier: doors.verifier,
    now,
    signal,
  })
  const { release: message } = await approve({
    review,
    ...doors.holder(world.who[options.holder ?? "anna"].fingerprint),
    ...(options.narrow === undefined ? {} : { narrow: options.narrow }),
    ledger,
    now: options.at ?? now,
    signal,
    ...options.bend,
  })
  const clear = world.gpg.run(["--decrypt"], message)
  return { release: releaseCodec.decode(clear, "release"), message, ledger }
}

const passphrase = (run: string, name: string): string => `${run} ${name} ${derivedPassphrase(keyOf(run), run, name)}`
const catalogue = "catalogue-00000001.tar.zst.gpg"
const volume = (n: number): string => `volume-0000000${n}.tar.zst.gpg`

test("a run: its key, and of the earlier run the passphrases of what it uses and no more", async () => {
  const { release, message, ledger } = await answer()
  assert.deepEqual(release, {
    format: "backup-cloud/1",
    type: "release",
    archive: "0123456789abcdef0123456789abcdef",
    request: "aa".repeat(16),
    created: "2026-11-24T12:00:00Z",
    expires: "2026-11-26T11:00:00Z",
    holder: world.who.anna.fingerprint,
    operator: world.who.olga.fingerprint,
    source: "files",
    run: second,
    kind: "run",
    erasures: 0,
    without_erasures: false,
    secrets: [passphrase(first, catalogue), passphrase(first, volume(2)), `${second} key.gpg ${keyOf(second)}`],
  })
  assert.ok(!release.secrets.join().includes(keyOf(first)))
  const entry = ledger.entries[0]
  assert.equal(entry?.decision, "approve")
  assert.equal(entry.secrets, 3)
  assert.equal(entry.reason, "the file server burnt down")
  assert.doesNotMatch(readFileSync(ledger.path, "utf8"), new RegExp(`${keyOf(second)}|${keyOf(first)}`))
  // Only the operator opens it, and it is by the holder.
  const inner = await doors.holder("").opener.unwrap(message, "release", signal)
  const verified = await doors.verifier.message(inner, world.who.anna, "release", signal)
  assert.deepEqual(releaseCodec.decode(verified, "release"), release)
  const recipients = world.gpg.run(["--list-packets", "--list-only"], message).toString()
  assert.equal([...recipients.matchAll(/pubkey enc packet/g)].length, 1)
})

test("what was erased is released only if both the request and the holder say so, and the ledger tells", async () => {
  const ledger = await newLedger()
  const asked = { without_erasures: true, erasures: 2 } as const
  await assert.rejects(answer(asked, { bend: { ledger } }), { fault: "refused", message: /for what was erased too/ })
  await assert.rejects(answer({}, { bend: { ledger, withoutErasures: true } }), {
    fault: "refused",
    message: /is not for what was erased/,
  })
  assert.equal(ledger.entries.length, 0)
  const { release } = await answer(asked, { bend: { ledger, withoutErasures: true } })
  assert.deepEqual([release.erasures, release.without_erasures], [2, true])
  assert.equal(ledger.entries[0]?.without_erasures, true)
  const again = await openLedger(ledger.path)
  assert.equal(again.entries[0]?.without_erasures, true)
})

test("any holder can answer, with OpenPGP.js as the verifier, too", async () => {
  const ledger = await newLedger()
  const review = await reviewRequest({
    request: send(world, makeRequest(world, good)),
    administrator: world.who.admin.fingerprint,
    ledger,
    verifier: doors.jsVerifier,
    now,
    signal,
  })
  assert.equal(review.operator.name, "olga")
  const { release } = await answer({}, { holder: "bert" })
  assert.equal(release.holder, world.who.bert.fingerprint)
})

test("a catalogue, or volumes: their passphrases and never a run key", async () => {
  const wants = [
    { run: first, root: 0, volumes: "", catalogues: "1" },
    { run: second, root: 1, volumes: "", catalogues: "1" },
  ]
  const names = await answer({ kind: "catalogue", wants })
  assert.deepEqual(names.release.secrets, [
    passphrase(first, catalogue),
    passphrase(second, catalogue),
    passphrase(second, "root-0001.gpg"),
  ])
  const volumes = await answer({ kind: "volumes", wants: [{ run: second, root: 0, volumes: "1-2", catalogues: "" }] })
  assert.equal(volumes.release.kind, "volumes")
  assert.deepEqual(volumes.release.secrets, [passphrase(second, volume(1)), passphrase(second, volume(2))])
})

test("an answer can be narrower than the question", async () => {
  const { release } = await answer({}, { narrow: { volumesOnly: true } })
  assert.equal(release.kind, "volumes")
  assert.deepEqual(release.secrets, [
    passphrase(first, volume(2)),
    passphrase(second, volume(1)),
    passphrase(second, volume(2)),
  ])
  const one = await answer({}, { narrow: { volumesOnly: true, only: ({ run }) => run === first } })
  assert.deepEqual(one.release.secrets, [passphrase(first, volume(2))])
  const sooner = await answer({}, { narrow: { until: new Date("2026-11-24T13:00:00Z") } })
  assert.equal(sooner.release.expires, "2026-11-24T13:00:00Z")
})

test("and never wider", async () => {
  const refused = { fault: "refused" }
  await assert.rejects(answer({}, { narrow: { until: new Date("2026-11-26T11:00:01Z") } }), refused)
  await assert.rejects(answer({}, { narrow: { only: () => true } }), refused)
  await assert.rejects(answer({}, { narrow: { volumesOnly: true, only: () => false } }), refused)
  const wants = [{ run: second, root: 1, volumes: "", catalogues: "1" }]
  await assert.rejects(answer({ kind: "catalogue", wants }, { narrow: { volumesOnly: true } }), refused)
  const { release } = await answer({ kind: "catalogue", wants }, { narrow: { only: () => true } })
  assert.equal(release.secrets.length, 2)
})

test("only a present holder answers", async () => {
  for (const holder of ["stranger", "admin"] as const)
    await assert.rejects(answer({}, { holder }), { fault: "refused" }, holder)
  const policy = makePolicy(world)
  for (const status of ["retired", "leaked"] as const) {
    const holders = policy.holders.map((each) => (each.name === "bert" ? { ...each, status } : each))
    const trust = makeTrust(world, [{ ...policy, holders }])
    await assert.rejects(answer({ trust }, { holder: "bert" }), { fault: "refused" })
    assert.equal((await answer({ trust }, { holder: "anna" })).release.kind, "run")
  }
})

test("a request that ran out between review and approval is not answered", async () => {
  await assert.rejects(answer({}, { at: new Date("2026-11-26T11:00:00Z") }), { fault: "expired" })
  await answer({}, { at: new Date("2026-11-26T10:59:59Z") })
})

test("nothing is handed out unless the ledger has its line", async () => {
  const ledger = await newLedger()
  const full: Ledger = {
    ...ledger,
    append: () => Promise.reject(Object.assign(new Error("no space left"), { code: "ENOSPC" })),
  }
  await assert.rejects(answer({}, { bend: { ledger: full } }), { code: "ENOSPC" })
  const { ledger: written } = await answer({}, { bend: { ledger } })
  assert.equal(written.entries.length, 1)
})

test("if the release cannot be made, the ledger says nothing and the request can be answered later", async () => {
  const ledger = await newLedger()
  const { signer } = doors.holder(world.who.anna.fingerprint)
  const broken = { ...signer, message: () => Promise.reject(new Error("the card was pulled out")) }
  await assert.rejects(answer({}, { bend: { ledger, signer: broken } }), /card/)
  assert.equal(ledger.entries.length, 0)
  await answer({}, { bend: { ledger } })
})

// A sealed file is released for exactly the key packets that a receipt or the policy records, with real gpg on both sides.

import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { type Handed, RECORDED, type Receipt, type ReleaseRequest, releaseCodec } from "@backup-cloud/format"
import { leadingPkesks } from "@backup-cloud/openpgp"
import { approve, describeReview, openLedger, reviewRequest } from "../src/index.ts"
import { type Doors, openDoors } from "./doors.ts"
import {
  type Good,
  makeEvidence,
  makeGood,
  makePolicy,
  makeReceipt,
  makeRequest,
  makeTrust,
  makeWorld,
  now,
  type Person,
  plain,
  second,
  send,
  sha256,
  type World,
} from "./fixture.ts"

const signal = new AbortController().signal
const PLAIN = Buffer.from("what the script dumped\n")
let world: World
let good: Good
let doors: Doors
let folder: string
let ledgers = 0
before(() => {
  world = makeWorld()
  good = makeGood(world)
  doors = openDoors(world.gpg.home)
  folder = mkdtempSync(join(tmpdir(), "kh-handed-"))
})
after(async () => {
  await doors.close()
  world.gpg.close()
  rmSync(folder, { recursive: true })
})

interface Sealed extends Handed {
  readonly bytes: Buffer
  readonly pkesks: Uint8Array
}

function sealed(file: string, to: readonly Person[] = ["anna", "bert"]): Sealed {
  const bytes = world.gpg.seal(
    to.map((name) => world.who[name]),
    PLAIN,
  )
  const pkesks = leadingPkesks(bytes, file)
  return { file, sha256: sha256(bytes), pkesk: sha256(pkesks), bytes, pkesks }
}

const record = ({ file, sha256: digest, pkesk }: Handed): Handed => ({ file, sha256: digest, pkesk })

/** A request for `file` with the evidence of the second run, whose receipt records `recorded`. */
function ask(
  file: Sealed,
  recorded: readonly Sealed[],
  change: Partial<ReleaseRequest> = {},
  more: Partial<Receipt> = {},
): Uint8Array {
  const handed = recorded.map(record).sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1))
  const receipt = makeReceipt(world, second, good.secondKey, { handed, ...more })
  const key = Buffer.from(file.pkesks).toString("base64")
  const evidence = [{ ...plain(makeEvidence(world, good.secondKey, [receipt])), key }]
  return send(world, makeRequest(world, good, { kind: "object", object: file.file, wants: [], evidence, ...change }))
}

/** One for a file that the policy records. */
function askRecorded(file: Sealed, recorded: readonly Sealed[], change: Partial<ReleaseRequest> = {}): Uint8Array {
  const handed = recorded.map(record)
  const trust = makeTrust(world, [makePolicy(world, handed.length === 0 ? {} : { handed })])
  const key = Buffer.from(file.pkesks).toString("base64")
  const evidence = [{ run: RECORDED.run, key, receipts: [] }]
  const about = { kind: "object" as const, object: file.file, ...RECORDED, wants: [], evidence, trust }
  return send(world, makeRequest(world, good, { ...about, ...change }))
}

const newLedger = () => openLedger(join(folder, `ledger-${ledgers++}.jsonl`))

async function review(request: Uint8Array, ledger = newLedger()) {
  const administrator = world.who.admin.fingerprint
  return await reviewRequest({ request, administrator, ledger: await ledger, verifier: doors.verifier, now, signal })
}

/** The session key that `holder` releases. */
async function released(request: Uint8Array, file: Sealed, holder: Person = "anna"): Promise<string> {
  const ledger = await newLedger()
  const answer = await approve({
    review: await review(request, Promise.resolve(ledger)),
    ...doors.holder(world.who[holder].fingerprint),
    ledger,
    now,
    signal,
  })
  const release = releaseCodec.decode(world.gpg.run(["--decrypt"], answer.release), "release")
  assert.equal(release.kind, "object")
  assert.equal(ledger.entries.length, 1)
  const [, pkesk = "", key = ""] = release.secrets[0]?.split(" ") ?? []
  assert.equal(release.secrets.length, 1)
  assert.equal(pkesk, file.pkesk)
  return key
}

const opens = (file: Sealed, key: string): Buffer =>
  world.gpg.run(["--override-session-key", `9:${key}`, "--decrypt"], file.bytes)

const refused = async (request: Uint8Array, why: RegExp): Promise<void> => {
  await assert.rejects(review(request), { fault: "refused", message: why })
}

test("the session key of a recorded file opens that file, and the request has not one byte of what is in it", async () => {
  const file = sealed("dump.sql.gpg")
  const other = sealed("dump.sql.gpg")
  const request = Buffer.from(ask(file, [file, other]))
  for (const holder of ["anna", "bert"] as const) {
    const key = await released(request, file, holder)
    assert.ok(opens(file, key).equals(PLAIN))
    assert.throws(() => opens(other, key))
  }
  const data = file.bytes.subarray(file.pkesks.length)
  for (let at = 0; at + 16 <= data.length; at++) {
    assert.ok(!request.includes(data.subarray(at, at + 16)))
    assert.ok(!request.includes(Buffer.from(data.subarray(at, at + 15)).toString("base64")))
  }
  const lines = describeReview(await review(request)).join("\n")
  assert.match(lines, /one sealed file alone: dump\.sql\.gpg/)
  assert.ok(lines.includes(file.sha256))
})

test("nothing is released for key packets that no receipt records, however the request is put", async () => {
  const file = sealed("dump.sql.gpg")
  const mail = sealed("dump.sql.gpg", ["anna"])
  await refused(ask(mail, [file]), /nothing records a file dump\.sql\.gpg with these key packets/)
  await refused(ask(file, [file], { object: "other.gpg" }), /nothing records a file other\.gpg/)
  await refused(ask(file, []), /nothing records/)
  // A source that has fallen into wrong hands records what it likes: a mail to one holder is still no file for all.
  await refused(ask(mail, [mail]), /dump\.sql\.gpg: is not sealed to [0-9A-F]{16}/)
  const stranger = sealed("dump.sql.gpg", ["anna", "bert", "stranger"])
  await refused(ask(stranger, [stranger]), /is sealed to [0-9A-F]{16}, which is nobody/)
  const twice = { ...file, pkesks: Buffer.concat([file.pkesks, mail.pkesks]) }
  const both = { ...twice, pkesk: sha256(twice.pkesks) }
  await refused(ask(both, [both]), /which is nobody that it should be sealed to, or twice/)
  const whole = { ...file, pkesks: file.bytes, pkesk: sha256(file.bytes) }
  await refused(ask(whole, [whole]), /something else than key packets/)
  const none = { ...file, pkesks: new Uint8Array(0), pkesk: sha256("") }
  await refused(ask(none, [none]), /something else than key packets/)
  assert.ok(opens(file, await released(ask(file, [file]), file)).equals(PLAIN))
})

test("a file is sealed to holders alone, also where runs of its source are sealed to a verifier as well", async () => {
  const { bytes, fingerprint } = world.who.stranger
  const digest = sha256(bytes)
  const since = "2026-01-01T00:00:00Z"
  const verifier = {
    ...{ name: "stranger", file: `stranger-${digest.slice(0, 16)}.asc`, sha256: digest, fingerprint },
    ...{ status: "present" as const, since, sources: ["files"] },
  }
  const trust = makeTrust(world, [makePolicy(world, { verifiers: [verifier] })])
  const recipients = [world.who.anna, world.who.bert, world.who.stranger].map((who) => who.fingerprint).sort()
  const file = sealed("dump.sql.gpg")
  const withVerifier = ask(file, [file], { trust }, { recipients })
  assert.ok(opens(file, await released(withVerifier, file)).equals(PLAIN))
  await refused(ask(file, [file], {}, { recipients }), /no certificate of the recipient/)
  const wider = sealed("dump.sql.gpg", ["anna", "bert", "stranger"])
  await refused(ask(wider, [wider], { trust }, { recipients }), /is sealed to [0-9A-F]{16}, which is nobody/)
})

test("a request for a sealed file is for nothing else, and one for a run names no file", async () => {
  const file = sealed("dump.sql.gpg")
  const wants = [{ run: second, root: 0, volumes: "1", catalogues: "" }]
  await refused(ask(file, [file], { wants }), /asks for objects of runs as well/)
  await refused(ask(file, [file], { object: "" }), /names none, or names one and is not about it/)
  await refused(ask(file, [file], { kind: "run" }), /names none, or names one and is not about it/)
  await refused(ask(file, [file], { evidence: [] }), /must bring its key packets/)
})

test("what the administrator has recorded is released, also where an earlier system sealed it to fewer", async () => {
  const old = sealed("backup/2019/dump.gpg", ["bert"])
  assert.ok(opens(old, await released(askRecorded(old, [old]), old, "bert")).equals(PLAIN))
  const other = sealed("backup/2019/other.gpg", ["bert"])
  await refused(askRecorded(other, [old]), /nothing records/)
  await refused(askRecorded(old, []), /nothing records/)
  const lines = describeReview(await review(askRecorded(old, [old]))).join("\n")
  assert.match(lines, /the administrator has recorded it in the policy/)
})

test("an archive that releases by several holders releases no sealed file", async () => {
  const file = sealed("dump.sql.gpg")
  const trust = makeTrust(world, [makePolicy(world, { release: "threshold", threshold: 2 })])
  await refused(ask(file, [file], { trust }), /several holders together/)
})

// What a review refuses, and that each refused thing is accepted once it is mended.

import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { encodeRunKey, type ReleaseRequest, requestCodec } from "@backup-cloud/format"
import { newMemory } from "@backup-cloud/trust"
import type { HolderMemory, Ledger, Review } from "../src/index.ts"
import { approve, deny, describeReview, memoryOfHome, openLedger, reviewRequest } from "../src/index.ts"
import { openDoors } from "./doors.ts"
import {
  archive,
  first,
  type Good,
  keyOf,
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
  policyBytes,
  sealKey,
  second,
  send,
  sha256,
  type World,
} from "./fixture.ts"

let world: World
let good: Good
let doors: ReturnType<typeof openDoors>
let folder: string
before(() => {
  world = makeWorld()
  good = makeGood(world)
  doors = openDoors(world.gpg.home)
  folder = mkdtempSync(join(tmpdir(), "kh-review-"))
})
after(async () => {
  await doors.close()
  world.gpg.close()
  rmSync(folder, { recursive: true })
})

const signal = new AbortController().signal
let ledgers = 0
const newLedger = (): Promise<Ledger> => openLedger(join(folder, `ledger-${ledgers++}.jsonl`))

interface Setting {
  readonly ledger?: Ledger
  readonly memory?: HolderMemory
  readonly at?: Date
  readonly administrator?: string
}

async function review(message: Uint8Array, setting: Setting = {}): Promise<Review> {
  return await reviewRequest({
    request: message,
    administrator: setting.administrator ?? world.who.admin.fingerprint,
    ledger: setting.ledger ?? (await newLedger()),
    ...(setting.memory === undefined ? {} : { memory: setting.memory }),
    verifier: doors.verifier,
    now: setting.at ?? now,
    signal,
  })
}

const ask = (change: Partial<ReleaseRequest> = {}, by: Person = "olga"): Buffer =>
  send(world, makeRequest(world, good, change), by)

const rejects = (message: Uint8Array, why: RegExp, setting: Setting = {}, fault = "refused"): Promise<void> =>
  assert.rejects(review(message, setting), (error: Error & { fault?: string }) => {
    assert.equal(error.fault, fault, error.message)
    assert.match(error.message, why)
    return true
  })

test("a good request is shown in plain words", async () => {
  const shown = describeReview(await review(ask())).join("\n")
  assert.match(shown, /who asks {4}olga \(operator, [0-9A-F]{40}\)/)
  assert.match(shown, /reason {6}the file server burnt down/)
  assert.match(shown, /the key of the whole run/)
  assert.match(shown, /how much {4}6 sealed objects, [0-9]+ bytes, 2 of them in 1 earlier runs/)
  assert.match(shown, /valid until 2026-11-26T11:00:00Z/)
  assert.match(shown, /first you see of this archive/)
})

test("armoured and binary requests say the same", async () => {
  const request = makeRequest(world, good)
  for (const extra of [[], ["--armor"]])
    assert.deepEqual((await review(send(world, request, "olga", extra))).request, request)
})

test("who asks: only a present operator, by signature and by policy", async () => {
  await rejects(ask({ operator: world.who.otto.fingerprint }, "otto"), /operator otto .* was retired/)
  await rejects(ask({ operator: world.who.stranger.fingerprint }, "stranger"), /is no operator in policy 1/)
  await rejects(ask({ operator: world.who.anna.fingerprint }, "anna"), /is no operator in policy 1/)
  await rejects(ask({}, "stranger"), /./)
  await rejects(ask({}, "otto"), /./)
  const back = makePolicy(world)
  const trust = makeTrust(world, [
    { ...back, operators: back.operators.map((each) => ({ ...each, status: "present" })) },
  ])
  await review(ask({ operator: world.who.otto.fingerprint, trust }, "otto"))
  await review(ask())
})

test("a signed message that was changed is refused", async () => {
  const message = send(world, makeRequest(world, good))
  const changed = Buffer.from(message)
  changed.write("drowned!!!", message.indexOf("burnt down"))
  await rejects(changed, /./)
  await rejects(message.subarray(0, -20), /./)
  await rejects(Buffer.from(requestCodec.encode(makeRequest(world, good))), /not an OpenPGP message/)
  await review(message)
})

test("trust starts at the pinned administrator and nowhere else", async () => {
  await rejects(ask(), /./, { administrator: world.who.stranger.fingerprint })
  const foreign: World = { ...world, who: { ...world.who, admin: world.who.stranger } }
  const takeover = makeTrust(foreign, [makePolicy(foreign)])
  await rejects(ask({ trust: takeover }), /./)
  const signedByStranger = makeTrust(foreign, [makePolicy(world)]).map((each) => ({
    ...each,
    name: each.name.replace(world.who.stranger.fingerprint, world.who.admin.fingerprint),
  }))
  await rejects(ask({ trust: signedByStranger }), /./)
  await rejects(ask({ trust: good.trust.filter((each) => !each.name.endsWith(".sig")) }), /./)
  await rejects(ask({ trust: good.trust.filter((each) => !each.name.startsWith("config/operators/olga")) }), /olga/)
  await review(ask())
})

test("a change of holders counts only with a holder's signature", async () => {
  const one = makePolicy(world)
  const holders = one.holders.map((each) => (each.name === "bert" ? { ...each, status: "leaked" as const } : each))
  const two = makePolicy(world, { number: 2, previous: sha256(policyBytes(one)), holders })
  await rejects(ask({ trust: makeTrust(world, [one, two]) }), /policy-000002/)
  await rejects(ask({ trust: makeTrust(world, [one, two], ["olga"]) }), /policy-000002/)
  const shown = await review(ask({ trust: makeTrust(world, [one, two], ["anna"]) }))
  assert.equal(shown.policies.newest.number, 2)
})

test("time: expired, too long, in the future, backwards", async () => {
  await rejects(ask(), /expired at/, { at: new Date("2026-11-26T11:00:00Z") }, "expired")
  await review(ask(), { at: new Date("2026-11-26T10:59:59Z") })
  await rejects(ask({ expires: "2026-12-01T11:00:01Z" }), /more than 7 days/)
  await review(ask({ expires: "2026-12-01T11:00:00Z" }))
  await rejects(ask({ created: "2026-11-24T12:10:01Z" }), /in the future/)
  await review(ask({ created: "2026-11-24T12:10:00Z" }))
  await rejects(ask({ expires: "2026-11-24T11:00:00Z" }), /expires before/)
})

test("a request is decided once, whichever way", async () => {
  for (const decision of ["approve", "deny"] as const) {
    const ledger = await newLedger()
    const seen = await review(ask(), { ledger })
    if (decision === "deny") await deny({ review: seen, reason: "I could not reach her", ledger, now })
    else await approve({ review: seen, ...doors.holder(world.who.anna.fingerprint), ledger, now, signal })
    await rejects(ask(), new RegExp(`decided before \\(${decision}`), { ledger: await openLedger(ledger.path) })
    await assert.rejects(deny({ review: seen, reason: "", ledger, now }), { fault: "refused" })
    await review(ask({ id: "bb".repeat(16) }), { ledger })
  }
})

test("an archive older than the one seen is refused", async () => {
  const one = makePolicy(world)
  const two = makePolicy(world, {
    number: 2,
    previous: sha256(policyBytes(one)),
    recover: sha256("another recover.sh"),
  })
  const ledger = await newLedger()
  const newer = ask({ trust: makeTrust(world, [one, two]) })
  await deny({ review: await review(newer, { ledger }), reason: "practice", ledger, now })
  const later = { id: "bb".repeat(16) }
  await rejects(ask(later), /policy here is number 1, but number 2 was seen before/, { ledger })
  const other = makePolicy(world, { number: 2, previous: sha256(policyBytes(one)), recover: sha256("a third") })
  await rejects(ask({ ...later, trust: makeTrust(world, [one, other]) }), /another one than the policy 2/, { ledger })
  await review(ask({ ...later, trust: makeTrust(world, [one, two]) }), { ledger })
  const memory = { policy: { number: 2, sha256: "" }, erasures: 0, seen: [] }
  await rejects(ask(), /number 2 was seen before/, { memory })
  await review(newer, { memory })
})

test("a run shown with fewer or other receipts than were seen is refused", async () => {
  const one = makeReceipt(world, second, good.secondKey, { ...good.secondReceipt, outcome: "checkpoint" })
  const two = makeReceipt(world, second, good.secondKey, {
    ...good.secondReceipt,
    number: 2,
    objects: [`root-0002.gpg 5 ${sha256("root2")}`],
  })
  // Made once: a second signature of the same bytes is another one.
  const made = (receipts: (typeof one)[]) => plain(makeEvidence(world, good.secondKey, receipts))
  const shows = (evidence: ReturnType<typeof plain>, id: string) =>
    ask({ id: id.repeat(16), evidence: [plain(good.firstEvidence), evidence] })
  const both = made([one, two])
  const ledger = await newLedger()
  await deny({ review: await review(shows(both, "01"), { ledger }), reason: "practice", ledger, now })
  const shorter = { ...both, receipts: both.receipts.slice(0, 1) }
  await rejects(shows(shorter, "02"), /shown with 1 receipts, but receipt 2 was seen before/, { ledger })
  await rejects(shows(made([one, { ...two, entries: 32 }]), "02"), /receipt 2 is another one/, { ledger })
  await review(shows(both, "02"), { ledger })
  await review(shows(shorter, "02"))
})

test("erasures that the holder knows of are not to be forgotten", async () => {
  const memory = { policy: null, erasures: 3, seen: [] }
  await rejects(ask({ erasures: 2 }), /2 erasures, but there are at least 3/, { memory })
  await review(ask({ erasures: 3 }), { memory })
  // A claim alone is pointed out, and does not keep the others from being answered.
  const ledger = await newLedger()
  await deny({ review: await review(ask({ erasures: 9 }), { ledger }), reason: "practice", ledger, now })
  const later = await review(ask({ id: "bb".repeat(16), erasures: 2 }), { ledger })
  assert.match(describeReview(later).join("\n"), /knows of 2 erasures; an earlier request spoke of 9/)
})

test("a request for what was erased too is shown in capitals, any other not", async () => {
  const shout = /NONE IS HONOURED: THE OPERATOR ASKS FOR WHAT WAS ERASED TOO/
  assert.match(describeReview(await review(ask({ erasures: 2, without_erasures: true }))).join("\n"), shout)
  const said = describeReview(await review(ask({ erasures: 2 }))).join("\n")
  assert.match(said, /erasures {4}up to number 2 will be honoured/)
  assert.doesNotMatch(said, shout)
})

test("what the home has seen of erasures counts as known", async () => {
  const seen = { ...newMemory("A".repeat(40)), archive, erasures: { number: 3, sha256: "0".repeat(64) } }
  await rejects(ask({ erasures: 2 }), /2 erasures, but there are at least 3/, { memory: memoryOfHome(seen) })
  await review(ask({ erasures: 3 }), { memory: memoryOfHome(seen) })
})

test("receipts and keys: whatever was exchanged is found", async () => {
  const { firstEvidence, secondEvidence, secondReceipt, secondKey } = good
  const bring = (evidence: ReleaseRequest["evidence"][number], why: RegExp) =>
    rejects(ask({ evidence: [plain(firstEvidence), plain(evidence)] }), why)
  const judged = (change: Parameters<typeof makeReceipt>[3], signer?: Person) =>
    makeEvidence(world, secondKey, [{ ...secondReceipt, ...change }], signer)
  const b64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString("base64")
  const part = secondEvidence.receipts[0]
  assert.ok(part !== undefined)

  await bring(
    { ...secondEvidence, key: b64(sealKey(world, second)) },
    /key\.gpg: is not the file that the receipt names/,
  )
  await bring({ ...secondEvidence, key: b64(good.firstKey) }, /key\.gpg: is not the file/)
  const altered = Buffer.from(part.receipt, "base64").toString().replace("complete", "partial")
  await bring({ ...secondEvidence, receipts: [{ ...part, receipt: b64(altered) }] }, /receipt-0001/)
  await bring(
    { ...secondEvidence, receipts: [{ ...part, sums: b64(`${Buffer.from(part.sums, "base64").toString()}\n`) }] },
    /SHA256SUMS/,
  )
  await bring({ ...secondEvidence, receipts: [{ ...part, signature: b64("x") }] }, /SHA256SUMS-0001\.sig/)
  await bring({ ...secondEvidence, receipts: [] }, /no receipt/)
  await bring(judged({}, "stranger"), /SHA256SUMS-0001\.sig/)
  await bring(judged({}, "admin"), /SHA256SUMS-0001\.sig/)
  await bring(judged({ archive: "f".repeat(32) }), /another archive/)
  await bring(judged({ source: "others" }), /./)
  await bring(judged({ number: 2 }), /./)
  await bring(judged({ policy: 2 }), /policy 2/)
  await bring(judged({ release: "threshold" }), /threshold/)
  await bring(judged({ uses: [{ run: first, sums: sha256("x"), volumes: "2", catalogues: "1" }] }), /does not show/)
  await bring(judged({ previous: [`${first} ${sha256("x")}`] }), /does not show/)
  await rejects(ask({ evidence: [plain(secondEvidence)] }), /no receipts of run 20261122/)
  await rejects(ask({ evidence: [plain(firstEvidence)] }), /no receipts of run 20261123/)
  await review(ask())
})

test("a run whose receipts differ in the key's check value is refused", async () => {
  const root = `root-0002.gpg 5 ${sha256("root2")}`
  const evidence = (check: string) => {
    const two = { ...good.secondReceipt, number: 2, objects: [root], check }
    return [plain(good.firstEvidence), plain(makeEvidence(world, good.secondKey, [good.secondReceipt, two]))]
  }
  await rejects(ask({ evidence: evidence(sha256("another")) }), /another check value/)
  await review(ask({ evidence: evidence(good.secondReceipt.check) }))
})

test("policy numbers never fall from a run to the one that follows it", async () => {
  const one = makePolicy(world)
  const two = makePolicy(world, {
    number: 2,
    previous: sha256(policyBytes(one)),
    recover: sha256("another recover.sh"),
  })
  const trust = makeTrust(world, [one, two])
  const before = makeEvidence(world, good.firstKey, [makeReceipt(world, first, good.firstKey, { policy: 2 })])
  const sums = before.sumsDigests[0] ?? ""
  const following = (policy: number) => {
    const uses = [{ run: first, sums, volumes: "2", catalogues: "1" }]
    const receipt = { ...good.secondReceipt, policy, uses, previous: [`${first} ${sums}`] }
    return [plain(before), plain(makeEvidence(world, good.secondKey, [receipt]))]
  }
  await rejects(ask({ trust, evidence: following(1) }), /names an older policy than run 20261122/)
  await review(ask({ trust, evidence: following(2) }))
})

test("what was looked at before the signature is what was signed", async () => {
  const other = requestCodec.encode(makeRequest(world, good, { reason: "another" }))
  const verifier = { ...doors.verifier, message: () => Promise.resolve(other) }
  const input = { request: ask(), administrator: world.who.admin.fingerprint, now, signal }
  await assert.rejects(reviewRequest({ ...input, ledger: await newLedger(), verifier }), { fault: "refused" })
  await reviewRequest({ ...input, ledger: await newLedger(), verifier: doors.verifier })
})

test("a source's key that was ended signs no later receipts", async () => {
  const ended = (until: string) => {
    const policy = makePolicy(world)
    return makeTrust(world, [
      {
        ...policy,
        sources: policy.sources.map((s) => ({ ...s, keys: s.keys.map((k) => ({ ...k, accept_until: until })) })),
      },
    ])
  }
  await rejects(ask({ trust: ended("2026-11-23T22:15:59Z") }), /ended the key/)
  await review(ask({ trust: ended("2026-11-23T22:16:00Z") }))
})

test("wants: nothing but what exists and what the receipt uses", async () => {
  const want = (run: string, change: Partial<ReleaseRequest["wants"][number]>) => [
    { run, root: 0, volumes: "", catalogues: "", ...change },
  ]
  const cases: [Partial<ReleaseRequest>, RegExp][] = [
    [{ wants: want(first, { volumes: "1-2" }) }, /more of run 20261122/],
    [{ wants: want(first, { catalogues: "1-2" }) }, /more of run/],
    [{ wants: want(first, { root: 1 }) }, /root of run 20261122/],
    [{ wants: want(first, {}) }, /asks for nothing of run/],
    [{ wants: want(second, { volumes: "1" }) }, /names objects of earlier runs only/],
    [{ wants: want("20261121T000000Z-00000000", { volumes: "1" }) }, /uses nothing of run 20261121/],
    [{ kind: "volumes", wants: [] }, /asks for nothing/],
    [{ kind: "volumes", wants: want(second, { volumes: "3" }) }, /volume-00000003\.tar\.zst\.gpg: no receipt names it/],
    [{ kind: "volumes", wants: want(second, { volumes: "1", root: 1 }) }, /parts of a catalogue/],
    [{ kind: "volumes", wants: want(first, { volumes: "1" }) }, /more of run/],
    [{ kind: "catalogue", wants: want(second, { volumes: "1", root: 1 }) }, /asks for volumes/],
    [{ kind: "catalogue", wants: want(second, { root: 2 }) }, /root-0002\.gpg: no receipt names it/],
    [{ kind: "object", object: "mail.gpg", wants: [] }, /must bring its key packets and the receipts of one run/],
    [{ object: "mail.gpg" }, /names none, or names one and is not about it/],
  ]
  for (const [change, why] of cases) await rejects(ask(change), why)
  for (const change of [
    { wants: want(first, { volumes: "2" }) },
    { wants: [] },
    { kind: "volumes" as const, wants: want(second, { volumes: "1-2" }) },
    { kind: "volumes" as const, wants: want(first, { volumes: "2" }) },
    {
      kind: "catalogue" as const,
      wants: [...want(first, { catalogues: "1" }), ...want(second, { root: 1, catalogues: "1" })],
    },
  ])
    await review(ask(change))
})

test("a request about another archive, or one whose release takes several holders", async () => {
  await rejects(ask({ archive: "f".repeat(32) }), /archive f{32}/)
  const trust = makeTrust(world, [makePolicy(world, { release: "threshold", threshold: 2 })])
  await rejects(ask({ trust }), /several holders together/)
})

test("nothing in a request can move a terminal's cursor or turn text around", async () => {
  const reason = "please \u009b2J\u202eevil\u2028 \u200f"
  const shown = describeReview(await review(ask({ reason }))).join("\n")
  assert.doesNotMatch(shown, /[\u0080-\u009f\u200e\u200f\u2028-\u202e]/)
  assert.match(shown, /please \\u\{9b\}2J\\u\{202e\}evil/)
  // Below U+0020 the format itself has no such strings.
  const bytes = Buffer.from(requestCodec.encode(makeRequest(world, good, { reason: "x" })))
  const escaped = Buffer.from(bytes.toString().replace('"reason": "x"', '"reason": "\\u001b[2J"'))
  await rejects(world.gpg.signed(world.who.olga, escaped), /control characters/)
})

test("a request for a run key that is another's is refused only after opening, before releasing", async () => {
  const texts: [string, Uint8Array, RegExp][] = [
    ["a private mail", Buffer.from("Dear Anna, the password is swordfish\n"), /not the text of a run key/],
    ["a share", Buffer.from("backup-cloud/1 run key share\n"), /not the text of a run key/],
    ["another run's", encodeRunKey({ archive, source: "files", run: first, key: keyOf(second) }), /another run/],
    ["another source's", encodeRunKey({ archive, source: "mail", run: second, key: keyOf(second) }), /another source/],
    [
      "another archive's",
      encodeRunKey({ archive: "f".repeat(32), source: "files", run: second, key: keyOf(second) }),
      /another archive/,
    ],
    [
      "another key",
      encodeRunKey({ archive, source: "files", run: second, key: keyOf(first) }),
      /another key than the receipt/,
    ],
    ["the right one", encodeRunKey({ archive, source: "files", run: second, key: keyOf(second) }), /never/],
  ]
  for (const [label, text, why] of texts) {
    const key = sealKey(world, second, text)
    const { objects } = makeReceipt(world, second, key)
    const evidence = makeEvidence(world, key, [{ ...good.secondReceipt, objects }])
    const ledger = await newLedger()
    const seen = await review(ask({ evidence: [plain(good.firstEvidence), plain(evidence)] }), { ledger })
    const answer = approve({ review: seen, ...doors.holder(world.who.anna.fingerprint), ledger, now, signal })
    if (label === "the right one") {
      await answer
      continue
    }
    await assert.rejects(answer, (error: Error & { fault?: string }) => {
      assert.equal(error.fault, "refused")
      assert.match(error.message, why)
      assert.doesNotMatch(error.message, /swordfish/)
      return true
    })
    assert.equal(ledger.entries.length, 0)
  }
})

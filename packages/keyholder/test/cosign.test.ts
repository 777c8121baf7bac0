import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { type Policy, policyCodec } from "@backup-cloud/format"
import {
  decodeProposal,
  encodeProposal,
  enrolHolder,
  leakHolder,
  nextPolicy,
  proposePolicy,
  removeOperator,
  setRules,
} from "@backup-cloud/trust"
import {
  cosign,
  describeProposal,
  type HolderMemory,
  openLedger,
  type ProposalReview,
  reviewProposal,
} from "../src/index.ts"
import { type Doors, openDoors } from "./doors.ts"
import { makePolicy, makeWorld, now, type Person, sha256, type World } from "./fixture.ts"

let world: World
let doors: Doors
let folder: string
let one: Policy
before(() => {
  world = makeWorld()
  doors = openDoors(world.gpg.home)
  folder = mkdtempSync(join(tmpdir(), "kh-cosign-"))
  one = makePolicy(world)
})
after(async () => {
  await doors.close()
  world.gpg.close()
  rmSync(folder, { recursive: true })
})

const signal = new AbortController().signal
const created = "2026-11-24T11:00:00Z"
let ledgers = 0
const newLedger = () => openLedger(join(folder, `ledger-${ledgers++}.jsonl`))

/** A policy that adds the stranger as holder and calls bert leaked. */
async function newHolders(): Promise<Policy> {
  const certificate = await doors.verifier.certificate(world.who.stranger.bytes, "stranger", signal)
  return nextPolicy(
    one,
    created,
    enrolHolder({ name: "stranger", certificate }),
    leakHolder(world.who.bert.fingerprint),
  )
}

async function propose(after: Policy, change: { by?: Person; before?: Policy } = {}): Promise<Uint8Array> {
  const path = after.holders.map((each) => `config/public-keys/${each.file}`)
  const certificates = new Map(path.map((each) => [each, world.who.stranger.bytes] as const))
  const { signer } = doors.holder(world.who.admin.fingerprint)
  const proposal = await proposePolicy(change.before ?? one, after, certificates, signer, signal)
  const signature =
    change.by === undefined ? proposal.signature : world.gpg.detached(world.who[change.by], policyCodec.encode(after))
  return Buffer.from(encodeProposal({ ...proposal, signature }))
}

async function review(proposal: Uint8Array, memory?: HolderMemory): Promise<ProposalReview> {
  return await reviewProposal({
    proposal,
    administratorFile: world.who.admin.bytes,
    administrator: world.who.admin.fingerprint,
    ledger: await newLedger(),
    ...(memory === undefined ? {} : { memory }),
    verifier: doors.verifier,
    signal,
  })
}

test("a change of holders is said in plain words and co-signed", async () => {
  const proposed = await newHolders()
  const seen = await review(await propose(proposed))
  const shown = describeProposal(seen).join("\n")
  assert.match(shown, /New key holder stranger \([0-9A-F]{40}\), present since 2026-11-24T11:00:00Z/)
  assert.match(shown, /key holder bert \([0-9A-F]{40}\) is leaked since 2026-11-24T11:00:00Z; was present/)
  assert.match(shown, /who can open backups: it needs the signature of 1 present holder\./)
  const ledger = await newLedger()
  const { signer } = doors.holder(world.who.anna.fingerprint)
  const { file } = await cosign({ review: seen, signer, ledger, now, signal })
  const back = decodeProposal(Buffer.from(file).toString(), "proposal")
  const signature = back.cosignatures.get(world.who.anna.fingerprint)
  assert.ok(signature !== undefined)
  await doors.verifier.detached(policyCodec.encode(proposed), signature, world.who.anna, "cosignature", signal)
  assert.deepEqual(
    ledger.entries.map(({ decision, policy }) => ({ decision, number: policy.number })),
    [{ decision: "cosign", number: 1 }],
  )
})

test("other changes are said, too, and need no holder", async () => {
  const rules = { ...one.rules, retention_days: 3 }
  const next = nextPolicy(one, created, setRules(rules), removeOperator(world.who.olga.fingerprint))
  const seen = await review(await propose(next))
  assert.deepEqual(seen.differences, [
    `The operator olga (${world.who.olga.fingerprint}) is retired since ${created}; was present.`,
    "The days that backups are kept (retention) changes from 30 to 3.",
  ])
  const { signer } = doors.holder(world.who.anna.fingerprint)
  const ledger = await newLedger()
  await assert.rejects(cosign({ review: seen, signer, ledger, now, signal }), { fault: "usage" })
  assert.equal(ledger.entries.length, 0)
})

test("proposals that must not be signed are refused", async () => {
  const next = await newHolders()
  const refused = { fault: "refused" }
  await assert.rejects(review(await propose(next, { by: "stranger" })), refused)
  const gap = await propose(next, { before: { ...one, created: "2026-01-02T00:00:00Z" } })
  await assert.rejects(review(gap), refused)
  await assert.rejects(review(Buffer.from("{}")), refused)
  const stale = { erasures: 0, seen: [] }
  await assert.rejects(review(await propose(next), { ...stale, policy: { number: 2, sha256: "" } }), refused)
  await assert.rejects(review(await propose(next), { ...stale, policy: { number: 1, sha256: sha256("x") } }), refused)
  await assert.rejects(
    reviewProposal({
      proposal: await propose(next),
      administratorFile: world.who.admin.bytes,
      administrator: world.who.stranger.fingerprint,
      ledger: await newLedger(),
      verifier: doors.verifier,
      signal,
    }),
    refused,
  )
  await review(await propose(next), { ...stale, policy: { number: 1, sha256: sha256(policyCodec.encode(one)) } })
})

test("only a holder who is present now co-signs", async () => {
  const seen = await review(await propose(await newHolders()))
  const ledger = await newLedger()
  for (const who of ["stranger", "admin", "olga"] as const) {
    const { signer } = doors.holder(world.who[who].fingerprint)
    await assert.rejects(cosign({ review: seen, signer, ledger, now, signal }), { fault: "refused" }, who)
  }
  assert.equal(ledger.entries.length, 0)
  const { signer } = doors.holder(world.who.bert.fingerprint)
  await cosign({ review: seen, signer, ledger, now, signal })
})

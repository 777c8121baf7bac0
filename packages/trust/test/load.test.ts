import assert from "node:assert/strict"
import test from "node:test"
import { policyCodec } from "@backup-cloud/format"
import type { Verifier } from "@backup-cloud/openpgp"
import { gpgVerifier, jsVerifier } from "@backup-cloud/openpgp/verify"
import { memoryStore } from "@backup-cloud/store"
import { people, rawSignature, whenGood } from "../../openpgp/test/people.ts"
import {
  addSource,
  cosignaturesMissing,
  cosignPolicy,
  decodeProposal,
  encodeProposal,
  enrolHolder,
  judgeProposal,
  memoryInMemory,
  nextPolicy,
  policyAfter,
  proposePolicy,
  publishPolicy,
  retireHolder,
  setSource,
} from "../src/index.ts"
import { bytesOf, entry, hourly, jsPerson, type MakePerson, makeArchive, signal, type TestArchive } from "./archive.ts"

const fresh = async (): Promise<TestArchive> => makeArchive(memoryStore({ now: hourly() }))

/** An archive with policies 1 to 3: number 2 adds the source docs, number 3 changes its schedule. */
async function withThree(): Promise<TestArchive> {
  const archive = await fresh()
  await archive.addSource("docs")
  await archive.amend([], setSource("docs", { schedule: "hourly" }))
  return archive
}

test("from the pinned fingerprint to the highest policy and every certificate", async () => {
  const archive = await withThree()
  const home = memoryInMemory()
  const trust = await archive.load({ home, strict: true })
  assert.equal(trust.policy.number, 3)
  assert.deepEqual([...trust.policies.keys()], [1, 2, 3])
  assert.equal(trust.certificates.size, 4)
  assert.deepEqual(trust.problems, [])
  assert.equal(trust.unfinished, null)
  assert.deepEqual((await home.read())?.policy, { number: 3, sha256: trust.policyDigest })
})

test("a fingerprint that is not the administrator's is refused", async () => {
  const archive = await fresh()
  await assert.rejects(archive.load({ admin: archive.operator.certificate.fingerprint }), { fault: "refused" })
  const home = memoryInMemory()
  await archive.load({ home })
  const other = { home, admin: archive.operator.certificate.fingerprint }
  await assert.rejects(archive.load(other), { fault: "refused", message: /this machine trusts/ })
})

test("a lower policy number than this machine has seen is an alarm; a machine that has seen none takes it", async () => {
  const archive = await withThree()
  const home = memoryInMemory()
  await archive.load({ home })
  await archive.store.remove("config/policy-000003.json.sig", signal)
  await archive.store.remove("config/policy-000003.json", signal)
  await assert.rejects(archive.load({ home }), { fault: "alarm", message: /policy-000003/ })
  assert.equal((await archive.load()).policy.number, 2)
})

test("another archive in the place of the known one is an alarm", async () => {
  const archive = await fresh()
  const home = memoryInMemory()
  await archive.load({ home })
  const json = Buffer.from(await archive.read("archive.json")).toString()
  await archive.replace("archive.json", bytesOf(json.replace("0123456789abcdef", "ffffffffffffffff")))
  await assert.rejects(archive.load({ home }), { fault: "alarm", message: /archive\.json/ })
  await assert.rejects(archive.load(), { fault: "tampered", message: /archive\.json/ })
})

test("a certificate that no policy names: a source refuses to run, others are told", async () => {
  const archive = await withThree()
  const mallory = await jsPerson("mallory", "holder")
  const [path, bytes] = entry("holder", mallory)
  await archive.replace(path, bytes)
  await assert.rejects(archive.load({ strict: true }), { fault: "refused", message: new RegExp(path) })
  const found = (await archive.load()).problems
  assert.deepEqual(
    found.map((problem) => [problem.fault, problem.object]),
    [["refused", path]],
  )
  await archive.amend([[path, bytes]], enrolHolder(mallory))
  assert.equal((await archive.load({ strict: true })).policy.number, 4)
})

for (const folder of ["sources", "operators", "admin"])
  test(`any other file in config/${folder} is found as well`, async () => {
    const archive = await fresh()
    await archive.replace(`config/${folder}/mallory.asc`, bytesOf("anything"))
    await assert.rejects(archive.load({ strict: true }), { fault: "refused", message: /mallory/ })
  })

test("a second certificate in a pinned file is refused", async () => {
  const archive = await fresh()
  const name = `config/admin/${archive.admin.certificate.fingerprint}.asc`
  const one = await archive.read(name)
  await archive.replace(name, Buffer.concat([one, archive.operator.certificate.bytes]))
  await assert.rejects(archive.load(), { fault: "refused", message: /config\/admin/ })
  await archive.replace(name, one)
  await archive.load()
})

test("a second certificate in a holder's file is found", async () => {
  const archive = await fresh()
  const [path, bytes] = entry("holder", archive.holders[0]!)
  await archive.replace(path, Buffer.concat([bytes, archive.operator.certificate.bytes]))
  const { problems } = await archive.load()
  assert.deepEqual(
    problems.map((problem) => [problem.fault, problem.object]),
    [["tampered", path]],
  )
  await assert.rejects(archive.load({ strict: true }), { fault: "tampered" })
})

test("the policy before a damaged one stays in force, and the damage is named", async () => {
  const archive = await withThree()
  for (const name of ["config/policy-000003.json", "config/policy-000003.json.sig"]) {
    const good = await archive.read(name)
    const bad = Uint8Array.from(good)
    bad[40]! ^= 1
    await archive.replace(name, bad)
    const trust = await archive.load()
    assert.equal(trust.policy.number, 2)
    assert.equal(trust.problems[0]?.fault, "tampered")
    assert.match(trust.problems[0].object, /policy-000003/)
    await assert.rejects(archive.load({ strict: true }), { fault: "tampered" })
    await archive.replace(name, good)
  }
  assert.equal((await archive.load({ strict: true })).policy.number, 3)
})

test("a policy missing from the middle is found", async () => {
  const archive = await withThree()
  await archive.store.remove("config/policy-000002.json.sig", signal)
  await archive.store.remove("config/policy-000002.json", signal)
  const trust = await archive.load()
  assert.equal(trust.policy.number, 1)
  assert.deepEqual(
    trust.problems.filter((problem) => problem.fault === "tampered").map((problem) => problem.object),
    ["config/policy-000002.json"],
  )
})

test("a policy signed by somebody else does not count, though it is right in all else", async () => {
  const archive = await fresh()
  const { policy } = await archive.load()
  const key = await jsPerson("docs", "sign")
  const after = nextPolicy(policy, "2026-11-21T08:00:00Z", addSource({ ...key, kind: "dir", schedule: "" }))
  const certificates = new Map([entry("source", key)])
  await assert.rejects(proposePolicy(policy, after, certificates, archive.operator.signer, signal), {
    fault: "refused",
  })
  const good = await proposePolicy(policy, after, certificates, archive.admin.signer, signal)
  const forged = { ...good, signature: await archive.operator.signer.detached(policyCodec.encode(after), signal) }
  const publishing = {
    store: archive.store,
    administrator: archive.admin.certificate,
    verifier: archive.verifier,
    signal,
  }
  await assert.rejects(publishPolicy({ ...publishing, proposal: forged }), { fault: "refused" })
  assert.equal((await archive.load()).policy.number, 1)

  // The same, put there by hand.
  await archive.replace("config/policy-000002.json", policyCodec.encode(after))
  await archive.replace("config/policy-000002.json.sig", forged.signature)
  const trust = await archive.load()
  assert.equal(trust.policy.number, 1)
  assert.deepEqual(
    trust.problems.map((problem) => problem.object),
    ["config/policy-000002.json", "config/policy-000002.json.sig"],
  )
  await archive.replace("config/policy-000002.json.sig", good.signature)
  assert.equal((await archive.load()).policy.number, 2)
})

test("the administrator alone cannot change the holders; with a holder's signature it goes, as a file by hand", async () => {
  const archive = await fresh()
  const { policy } = await archive.load()
  const clara = await jsPerson("clara", "holder")
  const after = nextPolicy(policy, "2026-11-21T08:00:00Z", enrolHolder(clara))
  const proposal = await proposePolicy(policy, after, new Map([entry("holder", clara)]), archive.admin.signer, signal)
  const publishing = {
    store: archive.store,
    administrator: archive.admin.certificate,
    verifier: archive.verifier,
    signal,
  }
  assert.equal(cosignaturesMissing(proposal), 1)
  const before = await archive.list()
  await assert.rejects(publishPolicy({ ...publishing, proposal }), { fault: "refused" })
  assert.deepEqual(await archive.list(), before, "nothing was written")

  const received = decodeProposal(encodeProposal(proposal), "proposal.json")
  await judgeProposal(received, archive.admin.certificate, archive.verifier, signal)
  await assert.rejects(cosignPolicy(received, clara.signer, signal), { fault: "refused" }, "a new holder is none yet")
  await assert.rejects(cosignPolicy(received, archive.operator.signer, signal), { fault: "refused" })
  const cosigned = decodeProposal(encodeProposal(await cosignPolicy(received, archive.holders[1]!.signer, signal)), "p")
  assert.equal(cosignaturesMissing(cosigned), 0)
  await publishPolicy({ ...publishing, proposal: cosigned })
  assert.equal((await archive.load({ strict: true })).policy.holders.length, 3)
})

test("a change of holders put there without a holder's signature does not count", async () => {
  const archive = await fresh()
  await archive.amend([], retireHolder(archive.holders[1]!.certificate.fingerprint))
  const name = `config/policy-000002.json.${archive.holders[0]!.certificate.fingerprint}.sig`
  const signature = await archive.read(name)
  assert.equal((await archive.load()).policy.number, 2)
  await archive.store.remove(name, signal)
  const without = await archive.load()
  assert.equal(without.policy.number, 1)
  assert.equal(without.problems[0]?.object, "config/policy-000002.json")
  signature[signature.length - 1]! ^= 1
  await archive.replace(name, signature)
  const broken = await archive.load()
  assert.equal(broken.policy.number, 1)
  assert.ok(broken.problems.some((problem) => problem.object === name && problem.fault === "tampered"))
})

test("a proposal that was changed on its way is refused", async () => {
  const archive = await fresh()
  const { policy } = await archive.load()
  const [clara, mallory] = [await jsPerson("clara", "holder"), await jsPerson("mallory", "holder")]
  const propose = async (who: typeof clara) => {
    const after = nextPolicy(policy, "2026-11-21T08:00:00Z", enrolHolder(who))
    return proposePolicy(policy, after, new Map([entry("holder", who)]), archive.admin.signer, signal)
  }
  const [good, other] = [await propose(clara), await propose(mallory)]
  const judge = (proposal: typeof good) => judgeProposal(proposal, archive.admin.certificate, archive.verifier, signal)
  await judge(good)
  await assert.rejects(judge({ ...good, after: other.after }), { fault: "refused" })
  await assert.rejects(judge({ ...good, signature: other.signature }), { fault: "refused" })
  await assert.rejects(judge({ ...good, certificates: other.certificates }), { fault: "refused" })
  const [path] = [...good.certificates.keys()]
  const swapped = new Map([[path!, mallory.certificate.bytes]])
  await assert.rejects(judge({ ...good, certificates: swapped }), { fault: "refused" })
  await assert.rejects(judge({ ...good, before: null }), { fault: "refused" })
  assert.throws(() => decodeProposal("{}", "p"), { fault: "tampered" })
})

test("publishing can break off after any write; nothing is in force until it is repeated", async () => {
  const archive = await fresh()
  const { policy } = await archive.load()
  const key = await jsPerson("docs", "sign")
  const after = nextPolicy(policy, "2026-11-21T08:00:00Z", addSource({ ...key, kind: "dir", schedule: "" }))
  const proposal = await proposePolicy(policy, after, new Map([entry("source", key)]), archive.admin.signer, signal)
  for (let writes = 0; ; writes++) {
    let left = writes
    const store = {
      ...archive.store,
      create: async (...args: Parameters<typeof archive.store.create>) => {
        if (left-- === 0) throw new Error("the process died here")
        return archive.store.create(...args)
      },
    }
    const publishing = { store, proposal, administrator: archive.admin.certificate, verifier: archive.verifier, signal }
    const done = await publishPolicy(publishing).then(
      () => true,
      () => false,
    )
    const trust = await archive.load()
    assert.equal(trust.policy.number, done ? 2 : 1)
    if (done) {
      assert.equal(writes, 3)
      break
    }
    assert.equal(trust.unfinished !== null, writes === 2)
  }
})

test("a change that was interrupted before its signature is finished by doing it again, and by nothing else", async () => {
  const archive = await withThree()
  const weekly = setSource("docs", { schedule: "weekly" })
  const left = nextPolicy((await archive.load()).policy, "2026-11-23T08:00:00Z", weekly)
  await archive.replace("config/policy-000004.json", policyCodec.encode(left))
  const trust = await archive.load({ strict: true })
  assert.equal(trust.policy.number, 3)
  const monthly = setSource("docs", { schedule: "monthly" })
  assert.throws(() => policyAfter(trust, "2026-11-24T08:00:00Z", monthly), { fault: "conflict" })
  const after = policyAfter(trust, "2026-11-24T08:00:00Z", weekly)
  const proposal = await proposePolicy(trust.policy, after, new Map(), archive.admin.signer, signal)
  const publishing = { store: archive.store, administrator: archive.admin.certificate, verifier: archive.verifier }
  await publishPolicy({ ...publishing, proposal, signal })
  const finished = await archive.load({ strict: true })
  assert.equal(finished.policy.number, 4)
  assert.equal(policyAfter(finished, "2026-11-24T08:00:00Z", monthly).number, 5)
})

test("a number that another policy took is a conflict", async () => {
  const archive = await withThree()
  const trust = await archive.load()
  const change = (schedule: string) =>
    proposePolicy(
      trust.policy,
      nextPolicy(trust.policy, "2026-11-23T08:00:00Z", setSource("docs", { schedule })),
      new Map(),
      archive.admin.signer,
      signal,
    )
  const publishing = {
    store: archive.store,
    administrator: archive.admin.certificate,
    verifier: archive.verifier,
    signal,
  }
  const [first, second] = [await change("weekly"), await change("monthly")]
  await publishPolicy({ ...publishing, proposal: first })
  await assert.rejects(publishPolicy({ ...publishing, proposal: second }), { fault: "conflict" })
  await publishPolicy({ ...publishing, proposal: first })
  assert.equal((await archive.load({ strict: true })).policy.sources[0]?.schedule, "weekly")
})

test("keys that expired since then do not shut the archive: what they signed counts", async () => {
  const verifier = jsVerifier()
  // A key made long ago for two days, and signatures of the time when it was good.
  const person: MakePerson = async (name) => {
    const { expired } = await people()
    const info = await verifier.certificate(expired.certificate.bytes, name, signal)
    assert.equal(info.canSign, false, "it is expired by now")
    const detached = (bytes: Uint8Array): Promise<Uint8Array> => rawSignature(expired, { binary: bytes }, whenGood)
    const signer = { fingerprint: info.fingerprint, detached, message: () => assert.fail("nothing else is signed") }
    return { name, certificate: { ...info, canEncrypt: true, canSign: true, expires: null }, signer }
  }
  const then: Verifier = {
    ...verifier,
    detached: (...args) => verifier.detached(args[0], args[1], args[2], args[3], args[4], { expiredKey: true }),
  }
  const archive = await makeArchive(memoryStore({ now: hourly() }), { person, verifier: then })
  await archive.amend([], retireHolder(archive.holders[1]!.certificate.fingerprint))
  await using gpg = gpgVerifier()
  for (const now of [verifier, gpg]) {
    const trust = await archive.load({ strict: true, verifier: now })
    assert.equal(trust.policy.number, 2)
    assert.deepEqual(trust.problems, [])
  }
})

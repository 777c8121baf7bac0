import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import test from "node:test"
import { type Policy, policyCodec } from "@backup-cloud/format"
import type { CertificateInfo } from "@backup-cloud/openpgp"
import {
  addSource,
  createPolicy,
  enrolHolder,
  enrolOperator,
  enrolVerifier,
  type FirstPolicy,
  leakHolder,
  needsCosign,
  nextPolicy,
  policyDigest,
  rekeySource,
  removeOperator,
  removeSource,
  retireHolder,
  retireVerifier,
  setDrillRule,
  setRelease,
  setRules,
  setSource,
  verifiersOf,
} from "../src/index.ts"

// Policies look at what was read of a certificate, never into it, so these need no keys.
function certificate(name: string, more: Partial<CertificateInfo> = {}): CertificateInfo {
  const bytes = new TextEncoder().encode(`certificate of ${name}`)
  const fingerprint = createHash("sha1").update(bytes).digest("hex").toUpperCase()
  return {
    fingerprint,
    bytes,
    userIds: [name],
    canEncrypt: true,
    canSign: true,
    expires: null,
    revoked: false,
    ...more,
  }
}

const who = (name: string, more: Partial<CertificateInfo> = {}) => ({ name, certificate: certificate(name, more) })
const print = (name: string): string => certificate(name).fingerprint

const first: FirstPolicy = {
  archive: "0123456789abcdef0123456789abcdef",
  created: "2026-11-20T08:00:00Z",
  administrator: certificate("admin"),
  release: "any",
  threshold: 1,
  recover: "0".repeat(64),
  rules: { horizon_days: 90, grace_days: 30, retention_days: 365 },
  holders: [who("anna"), who("berta")],
  operators: [who("otto")],
}
const one = createPolicy(first)
const DAY2 = "2026-11-21T08:00:00Z"
const DAY3 = "2026-11-22T08:00:00Z"
const docs = { ...who("docs"), kind: "dir", schedule: "daily" }

test("the first policy has number 1, nothing before it, and one byte form", () => {
  assert.equal(one.number, 1)
  assert.equal(one.previous, "")
  assert.deepEqual(policyCodec.decode(policyCodec.encode(one), "policy"), one)
  assert.match(one.holders[0]?.file ?? "", /^anna-[0-9a-f]{16}\.asc$/)
})

test("each policy follows the one before", () => {
  const two = nextPolicy(one, DAY2, addSource(docs), retireHolder(print("anna")))
  assert.equal(two.number, 2)
  assert.equal(two.previous, policyDigest(one))
  assert.deepEqual(
    two.holders.map((h) => [h.name, h.status, h.since]),
    [
      ["anna", "retired", DAY2],
      ["berta", "present", one.created],
    ],
  )
  assert.equal(one.sources.length, 0, "the policy before is not changed")
})

test("a change that changes nothing is no policy", () => {
  assert.throws(() => nextPolicy(one, DAY2), { fault: "usage" })
  assert.throws(() => nextPolicy(one, DAY2, setRules(first.rules)), { fault: "usage" })
})

test("a source's keys: added, replaced, ended, never forgotten", () => {
  const two = nextPolicy(one, DAY2, addSource(docs))
  const three = nextPolicy(two, DAY3, rekeySource("docs", certificate("docs2"), DAY3))
  assert.deepEqual(
    three.sources[0]?.keys.map((key) => [key.fingerprint, key.accept_until]),
    [
      [print("docs"), DAY3],
      [print("docs2"), ""],
    ],
  )
  const four = nextPolicy(three, DAY3, removeSource("docs", DAY3))
  assert.deepEqual(
    four.sources[0]?.keys.map((key) => key.accept_until),
    [DAY3, DAY3],
  )
  assert.throws(() => nextPolicy(four, DAY3, removeSource("docs", DAY3)), { fault: "refused" })
  assert.throws(() => nextPolicy(four, DAY3, addSource({ ...docs, ...who("docs3"), name: "docs" })), {
    fault: "refused",
  })
  const five = nextPolicy(four, DAY3, rekeySource("docs", certificate("docs3"), DAY3))
  assert.equal(five.sources[0]?.keys.at(-1)?.accept_until, "")
  assert.equal(nextPolicy(two, DAY3, setSource("docs", { schedule: "hourly" })).sources[0]?.schedule, "hourly")
  assert.throws(() => nextPolicy(one, DAY2, setSource("docs", { schedule: "hourly" })), { fault: "not-found" })
})

test("operators come and go", () => {
  const two = nextPolicy(one, DAY2, enrolOperator(who("olga")))
  const three = nextPolicy(two, DAY3, removeOperator(print("otto")))
  assert.deepEqual(
    three.operators.map((o) => [o.name, o.status]),
    [
      ["olga", "present"],
      ["otto", "retired"],
    ],
  )
  assert.throws(() => nextPolicy(three, DAY3, removeOperator(print("otto"))), { fault: "refused" })
  assert.throws(() => nextPolicy(three, DAY3, removeOperator(print("anna"))), { fault: "not-found" })
})

test("verifiers come, change their sources and go, co-signed each time", () => {
  const two = nextPolicy(one, DAY2, addSource(docs))
  const add = (sources: readonly string[]) => enrolVerifier({ ...who("vera"), sources })
  const three = nextPolicy(two, DAY3, add(["docs"]))
  assert.deepEqual(
    verifiersOf(three, "docs").map((each) => each.name),
    ["vera"],
  )
  assert.deepEqual(verifiersOf(three, "mail"), [])
  assert.equal(needsCosign(two, three), 1)
  const four = nextPolicy(three, DAY3, retireVerifier(print("vera")))
  assert.deepEqual(verifiersOf(four, "docs"), [])
  assert.equal(needsCosign(three, four), 1)
  assert.equal(nextPolicy(four, DAY3, add(["docs"])).verifiers?.length, 1)
  assert.throws(() => nextPolicy(two, DAY3, add(["mail"])), { fault: "refused", message: /mail/ })
  assert.throws(() => nextPolicy(two, DAY3, add([])), { fault: "usage" })
  assert.throws(() => nextPolicy(two, DAY3, retireVerifier(print("vera"))), { fault: "not-found" })
  const several = nextPolicy(two, DAY3, setRelease("threshold", 2))
  assert.throws(() => nextPolicy(several, DAY3, add(["docs"])), { fault: "refused", message: /several holders/ })
  assert.throws(() => nextPolicy(three, DAY3, setRelease("threshold", 2)), { fault: "refused" })
  for (const name of ["anna", "otto"])
    assert.throws(() => nextPolicy(two, DAY3, enrolVerifier({ ...who(name), name: "v", sources: ["docs"] })), {
      fault: "refused",
    })
  const twice = enrolVerifier({ ...who("walter"), name: "vera", sources: ["docs"] })
  assert.throws(() => nextPolicy(three, DAY3, twice), { fault: "refused", message: /two present keys/ })
})

test("drills have a rule for each source, which no holder co-signs", () => {
  const two = nextPolicy(one, DAY2, addSource(docs))
  const rule = { every_days: 30, rto_minutes: 240, rpo_minutes: 0 }
  const three = nextPolicy(two, DAY3, setDrillRule("docs", rule))
  assert.deepEqual(three.drills, [{ source: "docs", ...rule }])
  assert.equal(needsCosign(two, three), 0)
  assert.deepEqual(nextPolicy(three, DAY3, setDrillRule("docs", { ...rule, every_days: 7 })).drills?.length, 1)
  assert.equal("drills" in nextPolicy(three, DAY3, setDrillRule("docs", null)), false)
  assert.throws(() => nextPolicy(two, DAY3, setDrillRule("docs", null)), { fault: "usage" })
  assert.throws(() => nextPolicy(two, DAY3, setDrillRule("mail", rule)), { fault: "refused" })
})

const twoSources = nextPolicy(one, DAY2, addSource(docs))
const refusals: [string, (policy: Policy) => Policy][] = [
  [
    "a holder's key as operator",
    (p) => nextPolicy(p, DAY2, enrolOperator({ name: "x", certificate: certificate("anna") })),
  ],
  [
    "an operator's key as holder",
    (p) => nextPolicy(p, DAY2, enrolHolder({ name: "x", certificate: certificate("otto") })),
  ],
  [
    "a holder's name as operator, with another key",
    (p) => nextPolicy(p, DAY2, enrolOperator({ ...who("x"), name: "anna" })),
  ],
  [
    "a retired holder as operator",
    (p) => nextPolicy(p, DAY2, retireHolder(print("anna")), enrolOperator({ ...who("x"), name: "anna" })),
  ],
  [
    "a retired holder's key as operator",
    (p) => nextPolicy(p, DAY2, retireHolder(print("anna")), enrolOperator({ ...who("anna"), name: "x" })),
  ],
  ["the administrator's key as holder", (p) => nextPolicy(p, DAY2, enrolHolder(who("admin")))],
  ["a source's key as holder", (p) => nextPolicy(p, DAY2, enrolHolder(who("docs")))],
  ["one key for two sources", (p) => nextPolicy(p, DAY2, addSource({ ...docs, name: "more" }))],
  ["two present keys of one holder", (p) => nextPolicy(p, DAY2, enrolHolder({ ...who("x"), name: "anna" }))],
  ["no present holder", (p) => nextPolicy(p, DAY2, retireHolder(print("anna")), leakHolder(print("berta")))],
  ["a threshold above the present holders", (p) => nextPolicy(p, DAY2, setRelease("threshold", 3))],
  ["any-of-n with a threshold", (p) => nextPolicy(p, DAY2, setRelease("any", 2))],
  [
    "a leaked key again",
    (p) => nextPolicy(nextPolicy(p, DAY2, leakHolder(print("anna"))), DAY3, enrolHolder(who("anna"))),
  ],
  ["a revoked certificate", (p) => nextPolicy(p, DAY2, enrolHolder(who("x", { revoked: true })))],
  ["a holder nobody can encrypt to", (p) => nextPolicy(p, DAY2, enrolHolder(who("x", { canEncrypt: false })))],
  ["an operator who cannot sign", (p) => nextPolicy(p, DAY2, enrolOperator(who("x", { canSign: false })))],
  ["a source that cannot sign", (p) => nextPolicy(p, DAY2, addSource({ ...docs, ...who("x", { canSign: false }) }))],
]
for (const [name, change] of refusals)
  test(`refused: ${name}`, () => {
    assert.throws(() => change(twoSources), { fault: "refused" })
  })

test("not refused: the same steps without what is wrong with them", () => {
  const source = { ...docs, ...who("more", { canEncrypt: false }) }
  const next = nextPolicy(twoSources, DAY2, enrolHolder(who("x")), enrolOperator(who("y")), addSource(source))
  const replaced = nextPolicy(next, DAY3, retireHolder(print("anna")), enrolHolder({ ...who("z"), name: "anna" }))
  assert.equal(nextPolicy(replaced, DAY3, setRelease("threshold", 3)).threshold, 3)
  assert.equal(nextPolicy(next, DAY3, enrolHolder(who("w")), retireHolder(print("anna"))).holders.length, 4)
  const back = nextPolicy(nextPolicy(next, DAY3, retireHolder(print("anna"))), DAY3, enrolHolder(who("anna")))
  assert.equal(back.holders.find((h) => h.name === "anna")?.status, "present")
})

test("co-signatures are needed for a change of holders or of the release rule, and only then", () => {
  assert.equal(needsCosign(one, twoSources), 0)
  assert.equal(needsCosign(one, nextPolicy(one, DAY2, enrolOperator(who("olga")))), 0)
  assert.equal(needsCosign(one, nextPolicy(one, DAY2, retireHolder(print("anna")))), 1)
  assert.equal(needsCosign(one, nextPolicy(one, DAY2, enrolHolder(who("x")))), 1)
  const both = nextPolicy(one, DAY2, setRelease("threshold", 2))
  assert.equal(needsCosign(one, both), 1)
  assert.equal(needsCosign(both, nextPolicy(both, DAY3, setRelease("any", 1))), 2)
})

const keep = { last: 7, hourly: 0, daily: 14, weekly: 8, monthly: 12, yearly: 7, within_days: 3, minimum: 3 }
const verifier = {
  ...{
    name: "vera",
    file: `vera-${createHash("sha256").update(certificate("vera").bytes).digest("hex").slice(0, 16)}.asc`,
  },
  ...{ sha256: createHash("sha256").update(certificate("vera").bytes).digest("hex"), fingerprint: print("vera") },
  ...{ status: "present" as const, since: DAY2, sources: ["docs"] },
}
const withSource = nextPolicy(one, DAY2, addSource(docs))

test("a rule for a source that there is not is refused, and one for a source that there is is not", () => {
  for (const rules of [
    (source: string) => ({ keep: [{ source, ...keep }] }),
    (source: string) => ({ holds: [{ source, run: "", name: "inquiry", until: "" }] }),
    (source: string) => ({ drills: [{ source, every_days: 30, rto_minutes: 0, rpo_minutes: 0 }] }),
    (source: string) => ({ verifiers: [{ ...verifier, sources: [source] }] }),
  ]) {
    const change = (source: string) => (draft: typeof one) => ({ ...draft, ...rules(source) })
    assert.throws(() => nextPolicy(withSource, DAY3, change("dogs")), { fault: "refused", message: /source dogs/ })
    assert.equal(nextPolicy(withSource, DAY3, change("docs")).number, 3)
  }
})

test("a verifier needs a holder's signature, has one role, and there is none where several holders must release", () => {
  const add = (draft: typeof one) => ({ ...draft, verifiers: [verifier] })
  const after = nextPolicy(withSource, DAY3, add)
  assert.equal(needsCosign(withSource, after), 1)
  const wider = nextPolicy(
    nextPolicy(after, DAY3, addSource({ ...who("more"), kind: "dir", schedule: "" })),
    DAY3,
    (draft) => ({
      ...draft,
      verifiers: [{ ...verifier, sources: ["docs", "more"] }],
    }),
  )
  assert.equal(needsCosign(after, wider), 1)
  assert.equal(needsCosign(after, { ...after, number: 4, keep: [{ source: "docs", ...keep }] }), 0)
  assert.throws(() => nextPolicy(after, DAY3, enrolOperator(who("vera"))), { fault: "refused", message: /one role/ })
  assert.throws(() => nextPolicy(after, DAY3, setRelease("threshold", 2)), { fault: "refused", message: /verifier/ })
  assert.equal(nextPolicy(withSource, DAY3, setRelease("threshold", 2)).threshold, 2)
})

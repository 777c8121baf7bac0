// An archive as a holder sees it: policies, certificates, the receipts and key.gpg of two runs, the second of which uses
// the first, and requests about them. Built by hand with the codecs and gpg, so that each test can bend one thing.

import { createHash } from "node:crypto"
import {
  archiveCodec,
  checkValue,
  encodeRunKey,
  encodeSums,
  type ObjectRecord,
  objectLine,
  type Policy,
  policyCodec,
  type Receipt,
  type ReleaseRequest,
  receiptCodec,
  requestCodec,
} from "@backup-cloud/format"
import type { Certificate } from "@backup-cloud/openpgp"
import { type Gpg, openGpg } from "./gpg.ts"

export const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex")
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

export const archive = "0123456789abcdef0123456789abcdef"
export const now = new Date("2026-11-24T12:00:00Z")
export const first = "20261122T221500Z-11111111"
export const second = "20261123T221500Z-22222222"
/** The run key of a run. */
export const keyOf = (run: string): string => (run === first ? "11" : run === second ? "22" : "00").repeat(32)

const people = ["admin", "anna", "bert", "olga", "otto", "pump", "stranger"] as const
export type Person = (typeof people)[number]

export interface World {
  readonly gpg: Gpg
  readonly who: Readonly<Record<Person, Certificate>>
}

/** anna and bert are holders, olga is an operator, otto a retired one, pump the key of source "files". */
export function makeWorld(): World {
  const gpg = openGpg()
  const who = Object.fromEntries(people.map((name) => [name, gpg.key(name)])) as Record<Person, Certificate>
  return { gpg, who }
}

const fileOf = (name: string, certificate: Certificate): string =>
  `${name}-${sha256(certificate.bytes).slice(0, 16)}.asc`
const named = (name: string, { bytes, fingerprint }: Certificate, file = fileOf(name, { bytes, fingerprint })) => ({
  file,
  sha256: sha256(bytes),
  fingerprint,
})

/** Policy 1 of the world; `change` bends it. */
export function makePolicy({ who }: World, change: Partial<Policy> = {}): Policy {
  const since = "2026-01-01T00:00:00Z"
  return {
    format: "backup-cloud/1",
    type: "policy",
    archive,
    number: 1,
    created: since,
    previous: "",
    administrator: named("admin", who.admin, `${who.admin.fingerprint}.asc`),
    release: "any",
    threshold: 1,
    recover: sha256("recover.sh"),
    holders: [
      { name: "anna", ...named("anna", who.anna), status: "present", since },
      { name: "bert", ...named("bert", who.bert), status: "present", since },
    ],
    operators: [
      { name: "olga", ...named("olga", who.olga), status: "present", since },
      { name: "otto", ...named("otto", who.otto), status: "retired", since },
    ],
    sources: [
      {
        name: "files",
        kind: "dir",
        schedule: "",
        fresh_after: "",
        keys: [{ ...named("files", who.pump), accept_until: "" }],
      },
    ],
    rules: { horizon_days: 90, grace_days: 7, retention_days: 30 },
    ...change,
  }
}

export const policyBytes = (policy: Policy): Uint8Array => policyCodec.encode(policy)

export type Trust = ReleaseRequest["trust"]

/** What a request carries of these policies, signed by the administrator and, where given, by holders. */
export function makeTrust(world: World, policies: readonly Policy[], cosigners: readonly Person[] = []): Trust {
  const { gpg, who } = world
  const files = new Map<string, Uint8Array>()
  files.set(
    "archive.json",
    archiveCodec.encode({ format: "backup-cloud/1", type: "archive", archive, created: "2026-01-01T00:00:00Z" }),
  )
  files.set(`config/admin/${who.admin.fingerprint}.asc`, who.admin.bytes)
  for (const name of ["anna", "bert", "stranger"] as const)
    files.set(`config/public-keys/${fileOf(name, who[name])}`, who[name].bytes)
  for (const name of ["olga", "otto"] as const)
    files.set(`config/operators/${fileOf(name, who[name])}`, who[name].bytes)
  files.set(`config/sources/${fileOf("files", who.pump)}`, who.pump.bytes)
  for (const policy of policies) {
    const name = `config/policy-${String(policy.number).padStart(6, "0")}.json`
    const bytes = policyCodec.encode(policy)
    files.set(name, bytes)
    files.set(`${name}.sig`, gpg.detached(who.admin, bytes))
    if (policy.number > 1)
      for (const cosigner of cosigners)
        files.set(`${name}.${who[cosigner].fingerprint}.sig`, gpg.detached(who[cosigner], bytes))
  }
  return [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, bytes]) => ({ name, bytes: base64(bytes) }))
}

const object = (name: string, bytes: Uint8Array | string): ObjectRecord => ({
  name,
  length: bytes.length,
  sha256: sha256(bytes),
})
const filler = (name: string): ObjectRecord => object(name, `sealed ${name}`)

/** key.gpg of a run, or of what `text` says instead. */
export function sealKey({ gpg, who }: World, run: string, text?: Uint8Array): Buffer {
  return gpg.seal([who.anna, who.bert], text ?? encodeRunKey({ archive, source: "files", run, key: keyOf(run) }))
}

export function makeReceipt(world: World, run: string, key: Uint8Array, change: Partial<Receipt> = {}): Receipt {
  return {
    format: "backup-cloud/1",
    type: "receipt",
    archive,
    source: "files",
    run,
    number: 1,
    policy: 1,
    outcome: "complete",
    started: "2026-11-23T22:15:00Z",
    finished: "2026-11-23T22:16:00Z",
    kind: "dir",
    release: "any",
    check: checkValue(keyOf(run)),
    recipients: [world.who.anna.fingerprint, world.who.bert.fingerprint].sort(),
    previous: [],
    uses: [],
    entries: 16,
    bytes: 65536,
    errors: [],
    handed: [],
    objects: [
      object("key.gpg", key),
      filler("catalogue-00000001.tar.zst.gpg"),
      filler("root-0001.gpg"),
      filler("volume-00000001.tar.zst.gpg"),
      filler("volume-00000002.tar.zst.gpg"),
    ]
      .map(objectLine)
      .sort(),
    ...change,
  }
}

export type Evidence = ReleaseRequest["evidence"][number]

/** Evidence of a run with these receipts, each signed. @param signer the source's own key unless given */
export function makeEvidence(
  { gpg, who }: World,
  key: Uint8Array,
  receipts: readonly Receipt[],
  signer: Person = "pump",
): Evidence & { readonly sumsDigests: string[] } {
  const sumsDigests: string[] = []
  let before: Map<string, string> = new Map()
  const files = receipts.map((receipt) => {
    const bytes = receiptCodec.encode(receipt)
    const number = String(receipt.number).padStart(4, "0")
    const listed = new Map([...before, [`receipt-${number}.json`, sha256(bytes)]])
    for (const line of receipt.objects) {
      const [name = "", , digest = ""] = line.split(" ")
      listed.set(name, digest)
    }
    const sums = encodeSums(listed)
    const signature = gpg.detached(who[signer], sums)
    before = new Map([
      [`SHA256SUMS-${number}`, sha256(sums)],
      [`SHA256SUMS-${number}.sig`, sha256(signature)],
    ])
    sumsDigests.push(sha256(sums))
    return { receipt: base64(bytes), sums: base64(sums), signature: base64(signature) }
  })
  return { run: receipts[0]?.run ?? "", key: base64(key), receipts: files, sumsDigests }
}

/** Evidence without what only the tests need. */
export const plain = ({ run, key, receipts }: Evidence): Evidence => ({ run, key, receipts })

/** The archive as it should be: `second` uses one volume and the catalogue volume of `first`. */
export interface Good {
  readonly trust: Trust
  readonly firstKey: Buffer
  readonly secondKey: Buffer
  readonly firstEvidence: ReturnType<typeof makeEvidence>
  readonly secondReceipt: Receipt
  readonly secondEvidence: ReturnType<typeof makeEvidence>
}

export function makeGood(world: World): Good {
  const firstKey = sealKey(world, first)
  const secondKey = sealKey(world, second)
  const firstEvidence = makeEvidence(world, firstKey, [makeReceipt(world, first, firstKey)])
  const sums = firstEvidence.sumsDigests[0] ?? ""
  const secondReceipt = makeReceipt(world, second, secondKey, {
    previous: [`${first} ${sums}`],
    uses: [{ run: first, sums, volumes: "2", catalogues: "1" }],
  })
  const secondEvidence = makeEvidence(world, secondKey, [secondReceipt])
  return {
    trust: makeTrust(world, [makePolicy(world)]),
    firstKey,
    secondKey,
    firstEvidence,
    secondReceipt,
    secondEvidence,
  }
}

/** A request for the whole of `second`; `change` bends it. */
export function makeRequest({ who }: World, good: Good, change: Partial<ReleaseRequest> = {}): ReleaseRequest {
  return {
    format: "backup-cloud/1",
    type: "request",
    archive,
    id: "aa".repeat(16),
    created: "2026-11-24T11:00:00Z",
    expires: "2026-11-26T11:00:00Z",
    operator: who.olga.fingerprint,
    reason: "the file server burnt down",
    source: "files",
    run: second,
    kind: "run",
    wants: [{ run: first, root: 0, volumes: "2", catalogues: "1" }],
    object: "",
    erasures: 0,
    evidence: [plain(good.firstEvidence), plain(good.secondEvidence)],
    trust: good.trust,
    ...change,
  }
}

/** The request as the operator sends it. */
export function send(
  { gpg, who }: World,
  request: ReleaseRequest,
  by: Person = "olga",
  extra: readonly string[] = [],
): Buffer {
  return gpg.signed(who[by], requestCodec.encode(request), extra)
}

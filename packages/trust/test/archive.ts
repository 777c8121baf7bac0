// Small archives for tests, made with the real doors and stores. The objects of their runs hold any bytes: verifying
// opens nothing. Other packages' tests may use it too.

import { createHash } from "node:crypto"
import { encodeSums, FORMAT, names, objectLine, type Policy, type Receipt, receiptCodec } from "@backup-cloud/format"
import type { CertificateInfo, Signer, Verifier } from "@backup-cloud/openpgp"
import { generateKey } from "@backup-cloud/openpgp/keygen"
import { jsSigner } from "@backup-cloud/openpgp/sign"
import { jsVerifier } from "@backup-cloud/openpgp/verify"
import type { Store } from "@backup-cloud/store"
import { get } from "../../store/test/helpers.ts"
import {
  addSource,
  type Change,
  certificateFile,
  certificatePath,
  cosignPolicy,
  createArchive,
  createPolicy,
  type LoadOptions,
  loadTrust,
  memoryInMemory,
  needsCosign,
  nextPolicy,
  proposePolicy,
  publishPolicy,
  type Trust,
} from "../src/index.ts"

const CREATED = "2026-11-20T08:00:00Z"
export const signal: AbortSignal = new AbortController().signal

export const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

export const RECOVER_TEXT: Uint8Array = bytesOf("sh recover.sh\n")

export interface Person {
  readonly name: string
  readonly signer: Signer
  readonly certificate: CertificateInfo
}

/** Makes somebody with a new key: one that only signs, as sources have, or one to encrypt to besides. */
export type MakePerson = (name: string, kind: "sign" | "holder") => Promise<Person>

/** People with OpenPGP.js keys: quick to make. */
export const jsPerson: MakePerson = async (name, kind) => {
  const key = await generateKey({ userId: `${name} <${name}@example.org>`, kind })
  const certificate = await jsVerifier().certificate(key.certificate.bytes, name, signal)
  return { name, certificate, signer: await jsSigner(key.secretKey) }
}

interface TestCommit {
  readonly source: string
  readonly run: string
  readonly number?: number
  /** By base name. */
  readonly objects?: Readonly<Record<string, Uint8Array>>
  /** Lines as in the receipt. */
  readonly previous?: readonly string[]
  readonly uses?: Receipt["uses"]
  readonly outcome?: Receipt["outcome"]
  readonly policy?: number
  readonly signer?: Signer
  /** Changes the receipt before it is signed. */
  readonly edit?: (receipt: Receipt) => Receipt
  /** Changes the sums before they are signed. */
  readonly editSums?: (sums: Uint8Array) => Uint8Array
}

/** Of a commit, what a later one says of it in `previous` and `uses`. */
export interface Committed {
  readonly run: string
  /** Digest of its sums. */
  readonly sums: string
  /** As a line of `previous`. */
  readonly line: string
}

export interface TestArchive {
  readonly store: Store
  readonly verifier: Verifier
  readonly admin: Person
  readonly holders: readonly Person[]
  readonly operator: Person
  readonly sources: ReadonlyMap<string, Person>
  readonly recover: Uint8Array
  load(options?: Partial<LoadOptions>): Promise<Trust>
  /** Publishes the next policy, co-signed by the first holder where that is needed. */
  amend(certificates: readonly [string, Uint8Array][], ...changes: readonly Change[]): Promise<Policy>
  /** Adds a source with a new key. */
  addSource(name: string): Promise<Person>
  commit(commit: TestCommit): Promise<Committed>
  /** As an attacker with all rights does it. */
  replace(name: string, bytes: Uint8Array): Promise<void>
  read(name: string): Promise<Uint8Array>
  list(): Promise<string[]>
}

export async function makeArchive(
  store: Store,
  options: { readonly person?: MakePerson; readonly verifier?: Verifier } = {},
): Promise<TestArchive> {
  const person = options.person ?? jsPerson
  const verifier = options.verifier ?? jsVerifier()
  const admin = await person("admin", "sign")
  const holders = [await person("anna", "holder"), await person("berta", "holder")]
  const operator = await person("otto", "holder")
  const sources = new Map<string, Person>()
  const recover = bytesOf("#!/bin/sh\n")
  const commits = new Map<string, { sums: Uint8Array; signature: Uint8Array }>()

  let policy = createPolicy({
    archive: "0123456789abcdef0123456789abcdef",
    created: CREATED,
    administrator: admin.certificate,
    release: "any",
    threshold: 1,
    recover: digest(recover),
    rules: { horizon_days: 90, grace_days: 30, retention_days: 365 },
    holders,
    operators: [operator],
  })
  const certificates = new Map([...holders.map((h) => entry("holder", h)), entry("operator", operator)])
  const proposal = await proposePolicy(null, policy, certificates, admin.signer, signal)
  const publishing = { store, proposal, administrator: admin.certificate, verifier, signal }
  await createArchive(publishing, {
    files: new Map([
      ["RECOVER.txt", RECOVER_TEXT],
      ["recover.sh", recover],
    ]),
  })

  const put = async (name: string, bytes: Uint8Array): Promise<void> => {
    await store.create(name, [bytes], digest(bytes), signal)
  }
  const read = async (name: string): Promise<Uint8Array> => new Uint8Array(await get(store, name))

  const amend = async (added: readonly [string, Uint8Array][], ...changes: readonly Change[]): Promise<Policy> => {
    const after = nextPolicy(policy, later(CREATED, policy.number), ...changes)
    let next = await proposePolicy(policy, after, new Map(added), admin.signer, signal)
    const [first] = holders
    if (needsCosign(policy, after) > 0 && first !== undefined) next = await cosignPolicy(next, first.signer, signal)
    await publishPolicy({ ...publishing, proposal: next })
    policy = after
    return after
  }

  return {
    ...{ store, verifier, admin, holders, operator, sources, recover, amend, read },
    load: (more = {}) =>
      loadTrust({
        reader: store,
        verifier,
        admin: admin.certificate.fingerprint,
        home: memoryInMemory(),
        signal,
        ...more,
      }),
    async addSource(name) {
      const key = await person(name, "sign")
      sources.set(name, key)
      await amend([entry("source", key)], addSource({ ...key, kind: "dir", schedule: "daily" }))
      return key
    },
    async commit(c) {
      const number = c.number ?? 1
      const directory = names.runDirectory(c.source, c.run)
      const objects = Object.entries(c.objects ?? (number === 1 ? someObjects(c.run) : {}))
      const plain: Receipt = {
        format: FORMAT,
        type: "receipt",
        archive: policy.archive,
        source: c.source,
        run: c.run,
        number,
        policy: c.policy ?? policy.number,
        outcome: c.outcome ?? "complete",
        started: startOf(c.run),
        finished: later(startOf(c.run), 1),
        kind: "dir",
        release: "any",
        check: digest(bytesOf(c.run)),
        recipients: holders.map((h) => h.certificate.fingerprint).sort(),
        previous: [...(c.previous ?? [])].sort(),
        uses: [...(c.uses ?? [])],
        entries: 16,
        bytes: 65536,
        errors: [],
        handed: [],
        objects: objects
          .map(([name, bytes]) => objectLine({ name, length: bytes.length, sha256: digest(bytes) }))
          .sort(),
      }
      const receipt = receiptCodec.encode(c.edit?.(plain) ?? plain)
      const sums = new Map(objects.map(([name, bytes]) => [name, digest(bytes)]))
      sums.set(names.receipt(number), digest(receipt))
      const before = commits.get(`${directory}${number - 1}`)
      if (before !== undefined) {
        sums.set(names.sums(number - 1), digest(before.sums))
        sums.set(names.signature(number - 1), digest(before.signature))
      }
      const encoded = encodeSums(sums)
      const signed = c.editSums?.(encoded) ?? encoded
      const signer = c.signer ?? sources.get(c.source)?.signer
      if (signer === undefined) throw new Error(`no key for ${c.source}`)
      const signature = await signer.detached(signed, signal)
      for (const [name, bytes] of objects) await put(directory + name, bytes)
      await put(directory + names.receipt(number), receipt)
      await put(directory + names.sums(number), signed)
      await put(directory + names.signature(number), signature)
      commits.set(`${directory}${number}`, { sums: signed, signature })
      return { run: c.run, sums: digest(signed), line: `${c.run} ${digest(signed)}` }
    },
    async replace(name, bytes) {
      await store.remove(name, signal)
      await put(name, bytes)
    },
    async list() {
      return (await collect(store.list("", signal))).map((info) => info.name)
    },
  }
}

/** A certificate as `proposePolicy` wants it. */
export function entry(role: "holder" | "source" | "operator", who: Person): [string, Uint8Array] {
  return [certificatePath(role, certificateFile(who.name, who.certificate)), who.certificate.bytes]
}

/** The usual objects of a run, different for each. */
export function someObjects(run: string): Record<string, Uint8Array> {
  return {
    [names.key]: bytesOf(`key of ${run}`),
    [names.volume(1)]: bytesOf(`volume 1 of ${run}`),
    [names.volume(2)]: bytesOf(`volume 2 of ${run}`),
    [names.catalogue(1)]: bytesOf(`catalogue 1 of ${run}`),
    [names.root(1)]: bytesOf(`root 1 of ${run}`),
  }
}

function startOf(run: string): string {
  return run.replace(/^(....)(..)(..)T(..)(..)(..)Z.*$/, "$1-$2-$3T$4:$5:$6Z")
}

function later(time: string, hours: number): string {
  return new Date(Date.parse(time) + 3_600_000 * hours).toISOString().replace(".000Z", "Z")
}

export async function collect<T>(input: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const each of input) all.push(each)
  return all
}

/** A clock that goes on by an hour each time it is asked. */
export function hourly(start = CREATED): () => Date {
  let at = Date.parse(start)
  return () => new Date((at += 3_600_000))
}

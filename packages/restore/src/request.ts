// The question an operator puts to a key holder: which secrets of which run, why and until when, with everything the
// holder needs to judge it offline. Signed, not encrypted: there is no secret in it.

import {
  BackupError,
  decodeSums,
  encodeRanges,
  FORMAT,
  type Handed,
  names,
  parseRunObject,
  RECORDED,
  type ReleaseRequest,
  requestCodec,
  timeText,
  type Want,
} from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import type { ArchiveReader } from "@backup-cloud/store"
import type { Trust } from "@backup-cloud/trust"
import { readSigned } from "./fetch.ts"
import type { RunView } from "./view.ts"

/** What every request says. */
interface Asking {
  readonly trust: Trust
  readonly reader: ArchiveReader
  readonly reason: string
  readonly expires: Date
  readonly operator: Signer
  /** 16 random bytes. */
  readonly id: Uint8Array
  readonly now: Date
  /** The highest number of an erasure the operator knows; 0 for none. */
  readonly erasures?: number
  /** Ask for what was erased too. */
  readonly withoutErasures?: boolean
  readonly signal: AbortSignal
}

export interface RequestInput extends Asking {
  /** The run to restore. */
  readonly run: RunView
  /** The runs it uses, by id (`usedRuns`). */
  readonly runs: ReadonlyMap<string, RunView>
  readonly ask:
    | { readonly kind: "run" | "catalogue" }
    /** `needed` as `neededVolumes` of a plan gives it. */
    | { readonly kind: "volumes"; readonly needed: readonly { readonly run: string; readonly volumes: string }[] }
}

export interface HandedRequestInput extends Asking {
  readonly file: Handed
  /** Exactly the file's PKESK packets. */
  readonly pkesks: Uint8Array
  /** The run whose receipt records the file; `null` if the policy does. */
  readonly run: RunView | null
}

/**
 * The signed message. Throws `refused` if the policy does not name the operator, `usage` for a time or reason that makes
 * no sense, `not-found` or `tampered` where the evidence is not in the archive as it was judged.
 */
export async function makeRequest(input: RequestInput): Promise<Uint8Array> {
  const { run, ask } = input
  expectAny(run)
  const wants = wantsOf(input)
  return await signed(input, {
    source: run.source,
    run: run.run,
    kind: ask.kind,
    wants,
    object: "",
    evidence: await evidenceOf(input, wants),
  })
}

/** The signed message for one sealed file that a receipt or the policy records; throws as `makeRequest`. */
export async function makeHandedRequest(input: HandedRequestInput): Promise<Uint8Array> {
  const { run, file } = input
  if (run !== null) expectAny(run)
  const key = base64(input.pkesks)
  return await signed(input, {
    source: run?.source ?? RECORDED.source,
    run: run?.run ?? RECORDED.run,
    kind: "object",
    wants: [],
    object: file.file,
    evidence: [{ run: run?.run ?? RECORDED.run, key, receipts: run === null ? [] : await receiptsOf(input, run) }],
  })
}

function expectAny(run: RunView): void {
  if (run.receipt.release !== "any")
    throw new BackupError(
      "refused",
      `run ${run.run} is released by several holders together, which is not supported yet`,
    )
}

async function signed(
  input: Asking,
  question: Pick<ReleaseRequest, "source" | "run" | "kind" | "wants" | "object" | "evidence">,
): Promise<Uint8Array> {
  const { trust, operator, now, expires } = input
  const known = trust.policy.operators.find((o) => o.fingerprint === operator.fingerprint && o.status === "present")
  if (known === undefined)
    throw new BackupError("refused", `the policy names no operator with the key ${operator.fingerprint}`, {
      hint: "the administrator adds one with `backup-cloud operator add`",
    })
  if (expires <= now) throw new BackupError("usage", "a request must expire later than now")
  if (input.reason.trim() === "") throw new BackupError("usage", "a request must say why")
  if (input.id.length !== 16) throw new RangeError("the id of a request has 16 bytes")
  const document: ReleaseRequest = {
    format: FORMAT,
    type: "request",
    archive: trust.archive.archive,
    id: Buffer.from(input.id).toString("hex"),
    created: timeText(now),
    expires: timeText(expires),
    operator: operator.fingerprint,
    reason: input.reason,
    source: question.source,
    run: question.run,
    kind: question.kind,
    wants: question.wants,
    object: question.object,
    erasures: input.erasures ?? 0,
    evidence: question.evidence,
    trust: await configuration(input),
    ...(input.withoutErasures === true ? { without_erasures: true } : {}),
  }
  return await operator.message(requestCodec.encode(document), null, input.signal)
}

function wantsOf({ run, ask }: RequestInput): Want[] {
  const { uses } = run.receipt
  if (ask.kind === "run") {
    const earlier = uses.filter((use) => use.volumes !== "" || use.catalogues !== "")
    return earlier.map((use) => ({ run: use.run, root: 0, volumes: use.volumes, catalogues: use.catalogues }))
  }
  if (ask.kind === "volumes") {
    if (ask.needed.length === 0) throw new BackupError("usage", "what was chosen needs no volume, so no release either")
    return byRun(ask.needed.map((need) => ({ run: need.run, root: 0, volumes: need.volumes, catalogues: "" })))
  }
  const own: number[] = []
  for (const base of run.objects.keys()) {
    const object = parseRunObject(base)
    if (object?.kind === "catalogue") own.push(object.number)
  }
  const earlier = uses.filter((use) => use.catalogues !== "")
  return byRun([
    { run: run.run, root: run.number, volumes: "", catalogues: encodeRanges(own) },
    ...earlier.map((use) => ({ run: use.run, root: 0, volumes: "", catalogues: use.catalogues })),
  ])
}

function byRun(wants: readonly Want[]): Want[] {
  return wants.toSorted((a, b) => (a.run < b.run ? -1 : 1))
}

async function evidenceOf(input: RequestInput, wants: readonly Want[]): Promise<ReleaseRequest["evidence"]> {
  const ids = [...new Set([input.run.run, ...wants.map((want) => want.run)])].sort()
  const evidence: ReleaseRequest["evidence"] = []
  for (const id of ids) {
    const run = id === input.run.run ? input.run : input.runs.get(id)
    if (run === undefined) throw new BackupError("tampered", `run ${id}: is needed and was not found valid`)
    evidence.push(await evidenceOfRun(input, run))
  }
  return evidence
}

async function evidenceOfRun(input: RequestInput, run: RunView): Promise<ReleaseRequest["evidence"][number]> {
  const { reader, signal } = input
  const object = names.runDirectory(run.source, run.run) + names.key
  const key = base64(await readSigned(reader, object, run.objects.get(names.key)?.sha256 ?? "", signal))
  return { run: run.run, key, receipts: await receiptsOf(input, run) }
}

async function receiptsOf(
  { reader, signal }: Asking,
  run: RunView,
): Promise<ReleaseRequest["evidence"][number]["receipts"]> {
  const directory = names.runDirectory(run.source, run.run)
  const read = async (base: string, sha256: string): Promise<Uint8Array> =>
    await readSigned(reader, directory + base, sha256, signal)
  const receipts: { receipt: string; sums: string; signature: string }[] = []
  for (const { number, sums, signature } of run.commits) {
    const sumsBytes = await read(names.sums(number), sums)
    const receipt = decodeSums(sumsBytes, directory + names.sums(number)).get(names.receipt(number)) ?? ""
    receipts.push({
      receipt: base64(await read(names.receipt(number), receipt)),
      sums: base64(sumsBytes),
      signature: base64(await read(names.signature(number), signature)),
    })
  }
  return receipts
}

/** What the policy's chain of signatures is made of; other names below `config/` are no part of it. */
const CONFIGURATION =
  /^config\/(?:admin\/[0-9A-F]{40}\.asc|policy-[0-9]{6}\.json(?:(?:\.[0-9A-F]{40})?\.sig)?|(?:public-keys|sources|operators)\/[a-z0-9][a-z0-9-]{0,62}-[0-9a-f]{16}\.asc)$/

async function configuration({ reader, trust, signal }: Asking): Promise<ReleaseRequest["trust"]> {
  const found = [names.archive as string]
  // A policy above the one in force is one that nobody has signed yet.
  const beyond = names.policy(trust.policy.number + 1)
  for await (const { name } of reader.list("config/", signal))
    if (CONFIGURATION.test(name) && !name.startsWith(beyond)) found.push(name)
  const files: ReleaseRequest["trust"] = []
  for (const name of found.sort()) files.push({ name, bytes: base64(await readSigned(reader, name, null, signal)) })
  return files
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")
}

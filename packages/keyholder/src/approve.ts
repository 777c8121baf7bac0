// The decision. `approve` opens key.gpg of each run that is needed, looks at what it says before anything else is done with
// it, and answers exactly what was asked, or less. The ledger has its line, on the disk, before the release is handed out:
// if the process dies in between, the operator asks again and the ledger shows one release too many, never one too few.

import {
  BackupError,
  checkValue,
  decodeRunKey,
  derivedPassphrase,
  names,
  type RequestKind,
  releaseCodec,
  timeText,
} from "@backup-cloud/format"
import type { PrivateOpener, Signer } from "@backup-cloud/openpgp"
import { type JudgedRun, refuse } from "./evidence.ts"
import type { Ledger, LedgerEntry, LedgerRecord } from "./ledger.ts"
import { checkUnused, type Review } from "./review.ts"
import type { WantedObject } from "./wants.ts"

/** What the holder allows less of than was asked. */
export interface Narrow {
  /** Only the volumes: no run key, no root, no catalogue. */
  readonly volumesOnly?: boolean
  /** Only objects for which this is true. A run key can't be narrowed so: with kind `run` it takes `volumesOnly` too. */
  readonly only?: (object: WantedObject) => boolean
  /** An earlier end than the request's. */
  readonly until?: Date
}

export interface ApproveInput {
  readonly review: Review
  readonly narrow?: Narrow
  /** The holder's own word that what was erased may come back too; needed where the request asks for it, and only there. */
  readonly withoutErasures?: boolean
  readonly opener: PrivateOpener
  readonly signer: Signer
  readonly ledger: Ledger
  readonly now: Date
  readonly signal: AbortSignal
}

export interface Approval {
  /** The message to send to the operator. */
  readonly release: Uint8Array
  readonly entry: LedgerEntry
}

/**
 * Answers a reviewed request. Throws `refused` if this holder may not, if key.gpg holds anything but this run's key, or if
 * `narrow` would widen; `expired` if the request ended meanwhile; then nothing was released and the ledger is as before.
 */
export async function approve(input: ApproveInput): Promise<Approval> {
  const { review, opener, signer, ledger, now, signal } = input
  const { request, operator } = review
  checkHolder(review, signer.fingerprint)
  checkUnused(ledger, request.id)
  const withoutErasures = checkErasures(review, input.withoutErasures ?? false)
  const expires = untilWhen(review, input.narrow?.until, now)
  const { kind, secrets } = await secretsOf(review, input.narrow ?? {}, opener, signal)
  const document = releaseCodec.encode({
    format: "backup-cloud/1",
    type: "release",
    archive: request.archive,
    request: request.id,
    created: timeText(now),
    expires,
    holder: signer.fingerprint,
    operator: request.operator,
    source: request.source,
    run: request.run,
    kind,
    erasures: review.erasures,
    without_erasures: withoutErasures,
    secrets: secrets.sort(),
  })
  const release = await signer.message(document, operator.certificate, signal)
  const entry = await ledger.append(record(review, "approve", request.reason, kind, secrets.length, now))
  return { release, entry }
}

/** Writes down that the request is not answered, so that it never will be. @param reason the holder's, for the ledger */
export async function deny(input: {
  readonly review: Review
  readonly reason: string
  readonly ledger: Ledger
  readonly now: Date
}): Promise<LedgerEntry> {
  checkUnused(input.ledger, input.review.request.id)
  return await input.ledger.append(record(input.review, "deny", input.reason, input.review.request.kind, 0, input.now))
}

/** Whether what was erased may come back too. Throws `refused` unless request and holder both say so, or neither does. */
function checkErasures({ request }: Review, allowed: boolean): boolean {
  const asked = request.without_erasures === true
  if (asked && !allowed)
    throw refuse(
      "the request is for what was erased too, which must not come back",
      "deny it, or say --without-erasures if you know why it must be so",
    )
  if (allowed && !asked) throw refuse("the request is not for what was erased", "leave --without-erasures out")
  return asked
}

function checkHolder(review: Review, fingerprint: string): void {
  const { newest } = review.policies
  const entry = newest.holders.filter((holder) => holder.fingerprint === fingerprint).at(-1)
  if (entry?.status !== "present")
    throw refuse(
      entry === undefined
        ? `${fingerprint} is no key holder in policy ${newest.number}`
        : `the key of holder ${entry.name} (${fingerprint}) is ${entry.status} since ${entry.since}`,
      "use the key that the policy names, or ask the administrator",
    )
  if (fingerprint === review.request.operator) throw refuse("nobody can be operator and key holder at once")
}

/** What is released, a line each as a release has them. */
async function secretsOf(
  { request, main, runs, handed, objects }: Review,
  narrow: Narrow,
  opener: PrivateOpener,
  signal: AbortSignal,
): Promise<{ kind: RequestKind; secrets: string[] }> {
  if (handed !== null) {
    if (narrow.volumesOnly === true || narrow.only !== undefined)
      throw refuse("one sealed file is released or not; there is nothing to narrow")
    const sessionKey = await opener.sessionKey(handed.pkesks, `the file ${handed.file}`, signal)
    return { kind: request.kind, secrets: [`${request.run} ${handed.pkesk} ${sessionKey}`] }
  }
  if (main === null) throw new TypeError("a request for a run was reviewed without one")
  const grant = grantOf(request.kind, main, objects, narrow)
  const keys = new Map<string, string>()
  const secrets: string[] = []
  for (const run of new Set([...(grant.key ? [main.run] : []), ...grant.objects.map((o) => o.run)]))
    keys.set(run, await openKey(runs.get(run), request.archive, opener, signal))
  const keyOf = (run: string): string => keys.get(run) ?? ""
  if (grant.key) secrets.push(`${main.run} ${names.key} ${keyOf(main.run)}`)
  for (const { run, name } of grant.objects) secrets.push(`${run} ${name} ${derivedPassphrase(keyOf(run), run, name)}`)
  return { kind: grant.kind, secrets }
}

function untilWhen(review: Review, until: Date | undefined, now: Date): string {
  const { expires } = review.request
  if (until !== undefined && until.getTime() > Date.parse(expires))
    throw refuse(`a release can end before the request does (${expires}), not after it`)
  const end = until === undefined ? expires : timeText(until)
  if (Date.parse(end) <= now.getTime()) throw new BackupError("expired", `the request expired at ${end}`)
  return end
}

interface Grant {
  readonly kind: RequestKind
  /** The run key itself. */
  readonly key: boolean
  readonly objects: readonly WantedObject[]
}

function grantOf(kind: RequestKind, main: JudgedRun, wanted: readonly WantedObject[], narrow: Narrow): Grant {
  const whole = kind === "run"
  if (whole && narrow.only !== undefined && narrow.volumesOnly !== true)
    throw refuse("a run key opens the whole run; single objects of it take --volumes-only")
  if (whole && narrow.volumesOnly !== true) return { kind: "run", key: true, objects: wanted }
  const own = whole ? [...main.objects.values()].map(({ name, length }) => ({ run: main.run, name, length })) : []
  const objects = [...own, ...wanted]
    .filter((object) => narrow.volumesOnly !== true || object.name.startsWith("volume-"))
    .filter((object) => narrow.only?.(object) ?? true)
  if (objects.length === 0) throw refuse("what is left of the request is nothing", "deny it instead")
  return { kind: whole ? "volumes" : kind, key: false, objects }
}

/** The run key in a key.gpg whose digest a receipt has fixed, after its text and check value were found right. */
async function openKey(
  run: JudgedRun | undefined,
  archive: string,
  opener: PrivateOpener,
  signal: AbortSignal,
): Promise<string> {
  if (run === undefined) throw refuse("the request brings no receipts of a run that it needs")
  const object = names.runDirectory(run.source, run.run) + names.key
  const text = decodeRunKey(await opener.open(run.key, object, signal), object)
  for (const [member, expected] of [
    ["archive", archive],
    ["source", run.source],
    ["run", run.run],
  ] as const)
    if (text[member] !== expected) throw refuse(`${object}: holds the key of another ${member}`)
  if (checkValue(text.key) !== run.last.check) throw refuse(`${object}: holds another key than the receipt says`)
  return text.key
}

function record(
  review: Review,
  decision: "approve" | "deny",
  reason: string,
  kind: RequestKind,
  secrets: number,
  now: Date,
): LedgerRecord {
  const { request, policies, runs } = review
  const newest = policies.chain.at(-1)
  return {
    time: timeText(now),
    decision,
    archive: request.archive,
    request: request.id,
    operator: request.operator,
    source: request.source,
    run: request.run,
    kind,
    reason,
    secrets,
    policy: { number: policies.newest.number, sha256: newest?.sha256 ?? "" },
    erasures: review.erasures,
    ...(request.without_erasures === true ? { without_erasures: true as const } : {}),
    seen: [...runs.values()].map(({ source, run, commits }) => ({
      source,
      run,
      number: commits.length,
      sums: commits.at(-1)?.sums ?? "",
    })),
  }
}

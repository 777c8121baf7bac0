// Review of a request: everything that can be checked before a private key is touched, and then what a person needs to
// decide, as data. Reads the request, the ledger and the memory given, and writes nothing. Works offline: the request
// carries the policies and certificates, and trust starts from the administrator's fingerprint that this machine pinned.
//
// A request that fails a check is refused with the reason; there is no way to insist.

import { BackupError, escapeControl, type ReleaseRequest, requestCodec } from "@backup-cloud/format"
import type { Certificate, Verifier } from "@backup-cloud/openpgp"
import { checkLinks, type JudgedRun, judgeRun, refuse, thresholdMessage } from "./evidence.ts"
import { checkHanded, type HandedFile, isRecorded } from "./handed.ts"
import type { Ledger } from "./ledger.ts"
import { checkPolicyMemory, checkRunMemory, type HolderMemory, joinMemory, noMemory, recall } from "./memory.ts"
import { peek } from "./peek.ts"
import { loadPolicies, type Policies } from "./policies.ts"
import { checkWants, type WantedObject } from "./wants.ts"

/** Longest time between `created` and `expires` of a request. */
export const LONGEST_VALIDITY_MS = 7 * 24 * 3_600_000
/** How far an operator's clock may be ahead of the holder's. */
const CLOCK_DIFFERENCE_MS = 10 * 60_000

export interface ReviewInput {
  /** The file as the operator sent it. */
  readonly request: Uint8Array
  /** Fingerprint of the administrator that this machine pinned; never taken from a request. */
  readonly administrator: string
  readonly ledger: Ledger
  /** What else this home has seen of the archive; the ledger's own memory is always used. */
  readonly memory?: HolderMemory
  readonly verifier: Verifier
  readonly now: Date
  readonly signal: AbortSignal
}

export interface Review {
  readonly request: ReleaseRequest
  readonly operator: { readonly name: string; readonly certificate: Certificate }
  readonly policies: Policies
  /** The run that it is about; `null` if about a file that the policy records. */
  readonly main: JudgedRun | null
  readonly runs: ReadonlyMap<string, JudgedRun>
  /** The single objects asked for; with kind `run`, those of earlier runs. */
  readonly objects: readonly WantedObject[]
  /** The sealed file asked for, with kind `object`. */
  readonly handed: HandedFile | null
  /** The highest erasure that the operator knows of. */
  readonly erasures: number
  /** What deserves a second look, a sentence each. */
  readonly notices: readonly string[]
}

/** Throws `expired` for a request that came too late, `refused` for any other that must not be answered. */
export async function reviewRequest(input: ReviewInput): Promise<Review> {
  try {
    return await check(input)
  } catch (error) {
    if (!(error instanceof BackupError) || !["tampered", "not-found", "usage"].includes(error.fault)) throw error
    throw new BackupError("refused", error.message, {
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    })
  }
}

async function check(input: ReviewInput): Promise<Review> {
  const { ledger, verifier, now, signal } = input
  const peeked = peek(input.request, "request")
  const claimed = requestCodec.decode(peeked, "request")
  const policies = await loadPolicies(claimed.trust, input.administrator, verifier, signal)
  const memory = joinMemory(recall(ledger, policies.newest.archive), input.memory ?? noMemory)
  const digests = policies.chain.map((each) => each.sha256)
  checkPolicyMemory(memory, digests)
  const operator = findOperator(claimed.operator, policies)
  const verified = await verifier.message(input.request, operator.certificate, "request", signal)
  if (Buffer.compare(verified, peeked) !== 0) throw refuse("request: says one thing signed and another unsigned")
  const request = requestCodec.decode(verified, "request")
  checkFacts(request, policies, now)
  checkUnused(ledger, request.id)
  if (request.erasures < memory.erasures)
    throw refuse(
      `the operator knows of ${request.erasures} erasures, but there are at least ${memory.erasures}`,
      "the operator looks at an older state of the archive, and what was erased must not come back",
    )
  const runs = await judgeRuns(request, policies, memory, signal)
  const handed = request.kind === "object" ? checkHanded(request, policies, runs) : null
  const main = runs.get(request.run) ?? null
  if (main === null && handed === null) throw refuse(`the request brings no receipts of run ${request.run}`)
  const objects = main === null || handed !== null ? [] : checkWants(request.kind, request.wants, main, runs)
  const notices = [...noticesOf(request, main, policies, memory), ...erasureNotice(request, ledger)]
  return { request, operator, policies, main, runs, objects, handed, erasures: request.erasures, notices }
}

function findOperator(fingerprint: string, policies: Policies): Review["operator"] {
  const entries = policies.newest.operators.filter((entry) => entry.fingerprint === fingerprint)
  const present = entries.find((entry) => entry.status === "present")
  const certificate = present === undefined ? null : (policies.trust.certificates.get(present.sha256) ?? null)
  if (present !== undefined && certificate === null)
    throw refuse(unreadable(`config/operators/${present.file}`, policies))
  if (present !== undefined && certificate !== null) return { name: present.name, certificate }
  const retired = entries.at(-1)
  throw refuse(
    retired === undefined
      ? `request: ${fingerprint} is no operator in policy ${policies.newest.number}`
      : `request: the operator ${retired.name} (${fingerprint}) was retired at ${retired.since}`,
    "only a present operator can be answered; ask the administrator",
  )
}

/** Why a certificate that the policy names could not be used, as far as loading the policies found out. */
function unreadable(object: string, policies: Policies): string {
  const found = policies.trust.problems.find((problem) => problem.object === object)
  return `${object}: ${found?.why ?? "is not the certificate that the policy names"}`
}

function checkFacts(request: ReleaseRequest, policies: Policies, now: Date): void {
  if (request.archive !== policies.newest.archive)
    throw refuse(`the request is about archive ${request.archive}, but the policies are of ${policies.newest.archive}`)
  if (policies.newest.release !== "any") throw refuse(`the archive ${thresholdMessage}`)
  if ((request.object !== "") !== (request.kind === "object"))
    throw refuse("the request is about a sealed file and names none, or names one and is not about it")
  const created = Date.parse(request.created)
  const expires = Date.parse(request.expires)
  if (created > now.getTime() + CLOCK_DIFFERENCE_MS)
    throw refuse(`the request was made in the future, at ${request.created}`, "one of the two clocks is wrong")
  if (expires <= created) throw refuse("the request expires before it was made")
  if (expires - created > LONGEST_VALIDITY_MS)
    throw refuse("the request is valid for more than 7 days", "ask the operator for one that expires sooner")
  if (expires <= now.getTime())
    throw new BackupError("expired", `the request expired at ${request.expires}`, {
      hint: "ask the operator for a new one, if the need is still there",
    })
}

/** Throws `refused` if the request with this id was decided before. */
export function checkUnused(ledger: Ledger, id: string): void {
  const used = ledger.entries.find((entry) => entry.request === id)
  if (used !== undefined)
    throw refuse(
      `request ${id} was decided before (${used.decision}, at ${used.time}; line ${used.number} of the ledger)`,
      "the operator has to make a new request",
    )
}

async function judgeRuns(
  request: ReleaseRequest,
  policies: Policies,
  memory: HolderMemory,
  signal: AbortSignal,
): Promise<Map<string, JudgedRun>> {
  const runs = new Map<string, JudgedRun>()
  for (const evidence of isRecorded(request) ? [] : request.evidence) {
    const judged = await judgeRun(evidence, request.source, policies.trust, signal, request.kind === "object")
    checkRunMemory(
      memory,
      judged.source,
      judged.run,
      judged.commits.map((each) => each.sums),
    )
    runs.set(judged.run, judged)
  }
  checkLinks(runs)
  return runs
}

function noticesOf(
  request: ReleaseRequest,
  main: JudgedRun | null,
  policies: Policies,
  memory: HolderMemory,
): string[] {
  const notices = [...policies.oddities]
  if (memory.policy === null)
    notices.push(
      `This is the first you see of this archive. Its policy ${policies.newest.number} is signed by the administrator you trust.`,
    )
  else if (memory.policy.number < policies.newest.number)
    notices.push(
      `The policy changed since you last decided: from ${memory.policy.number} to ${policies.newest.number}.`,
    )
  if (main !== null && request.kind !== "object" && main.last.outcome !== "complete")
    notices.push(`The run is not a complete backup: its outcome is ${main.last.outcome}.`)
  if (request.reason.trim() === "") notices.push("The operator gives no reason.")
  return notices
}

/** An operator may look at an older state of the archive than another one did before; that is for a person to judge. */
function erasureNotice(request: ReleaseRequest, ledger: Ledger): string[] {
  const claimed = ledger.entries.filter((entry) => entry.archive === request.archive).map((entry) => entry.erasures)
  const highest = Math.max(0, ...claimed)
  return highest <= request.erasures
    ? []
    : [`The operator knows of ${request.erasures} erasures; an earlier request spoke of ${highest}. Ask why.`]
}

/** The review in plain words, one line each; nothing in it can move a terminal's cursor. */
export function describeReview(review: Review): string[] {
  const { request, operator } = review
  const what = {
    run: "the key of the whole run: everything in it can then be read",
    catalogue: "the catalogue only: names, sizes and times of the files, not what is in them",
    volumes: "single volumes: the content of the files that lie in them",
    object: `one sealed file alone: ${request.object}`,
  }[request.kind]
  const lines = [
    `Request ${request.id}`,
    `  who asks    ${operator.name} (operator, ${operator.certificate.fingerprint})`,
    `  reason      ${request.reason}`,
    `  what        ${what}`,
    ...(review.handed === null ? runLines(review) : handedLines(review.handed)),
    `  asked at    ${request.created}`,
    `  valid until ${request.expires}`,
    `  erasures    ${erasuresLine(review)}`,
    `  archive     ${request.archive}, policy ${review.policies.newest.number} (${sha256Short(review)})`,
    ...review.notices.map((notice) => `  note        ${notice}`),
  ]
  return lines.map((line) => escapeControl(line))
}

function erasuresLine({ request, erasures }: Review): string {
  if (request.without_erasures === true)
    return "NONE IS HONOURED: THE OPERATOR ASKS FOR WHAT WAS ERASED TOO, AND MUST NOT COME BACK"
  return erasures === 0 ? "none" : `up to number ${erasures} will be honoured by the operator's tools`
}

function runLines({ request, main, objects }: Review): string[] {
  if (main === null) return []
  const own = request.kind === "run" ? bulkOf(main) : []
  const all = [...own, ...objects]
  const earlier = new Set(objects.map((o) => o.run).filter((run) => run !== main.run))
  const bytes = all.reduce((sum, o) => sum + o.length, 0)
  const { outcome, started, finished, entries } = main.last
  return [
    `  of          source ${request.source}, run ${request.run}`,
    `  the backup  ${outcome}, begun ${started}, finished ${finished}, about ${entries} entries, ${main.last.bytes} bytes`,
    `  how much    ${all.length} sealed objects, ${bytes} bytes${earlier.size > 0 ? `, ${objects.filter((o) => o.run !== main.run).length} of them in ${earlier.size} earlier runs` : ""}`,
  ]
}

function handedLines({ run, sha256 }: HandedFile): string[] {
  return [
    run === null
      ? "  of          what an earlier system left; the administrator has recorded it in the policy"
      : `  of          source ${run.source}, which sealed it by ${run.last.finished} (run ${run.run})`,
    `  the file    SHA-256 ${sha256}; what it holds nobody can tell before it is opened`,
  ]
}

const sha256Short = (review: Review): string => review.policies.chain.at(-1)?.sha256.slice(0, 16) ?? ""

function bulkOf(run: JudgedRun): WantedObject[] {
  return [...run.objects.values()]
    .filter((object) => /^(?:volume|catalogue|root)-/.test(object.name))
    .map((object) => ({ run: run.run, name: object.name, length: object.length }))
}

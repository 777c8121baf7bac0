// What changes from one policy to the next, in plain words, a sentence each. Every member that can differ has its own
// function, and a new member does not compile until it has one, so no change goes unsaid.

import type { Handed, Policy, PolicySource, VerifierEntry } from "@backup-cloud/format"

type Compared = Exclude<keyof Policy, "format" | "type" | "archive" | "number" | "created" | "previous">

const compare: Readonly<Record<Compared, (a: Policy, b: Policy) => readonly string[]>> = {
  administrator: ({ administrator: a }, { administrator: b }) =>
    changed("The administrator's certificate", `${a.fingerprint} ${a.sha256}`, `${b.fingerprint} ${b.sha256}`),
  release: (a, b) => changed("The release rule", a.release, b.release),
  threshold: (a, b) => changed("The number of holders that a release needs", String(a.threshold), String(b.threshold)),
  recover: (a, b) => changed("The recovery script's digest", a.recover, b.recover),
  holders: (a, b) => people("key holder", a.holders, b.holders),
  operators: (a, b) => people("operator", a.operators, b.operators),
  sources: (a, b) => sources(a.sources, b.sources),
  handed: (a, b) => handed(a.handed ?? [], b.handed ?? []),
  keep: (a, b) => list("The rule of what is kept", a.keep, b.keep),
  holds: (a, b) => list("The hold", a.holds, b.holds),
  media: (a, b) => changed("What is asked of offline copies", facts(a.media), facts(b.media)),
  drills: (a, b) => list("The rule of drills", a.drills, b.drills),
  verifiers: (a, b) => [
    ...people("verifier", a.verifiers ?? [], b.verifiers ?? []),
    ...list("What a verifier may open alone", a.verifiers?.map(reach), b.verifiers?.map(reach)),
  ],
  rules: ({ rules: a }, { rules: b }) => [
    ...changed("The days that volumes may be reused (horizon)", String(a.horizon_days), String(b.horizon_days)),
    ...changed("The days of grace before expiry", String(a.grace_days), String(b.grace_days)),
    ...changed("The days that backups are kept (retention)", String(a.retention_days), String(b.retention_days)),
  ],
}

const reach = ({ name, sources }: VerifierEntry) => ({ name, sources: sources.join(" ") })

/** `last 7, daily 14`; `none` for nothing. */
function facts(entry: Readonly<Record<string, string | number>> | undefined): string {
  if (entry === undefined) return "none"
  return Object.entries(entry)
    .map(([name, value]) => `${name} ${value === "" ? "-" : value}`)
    .join(", ")
}

/** What is in one list and not in the other. */
function list(
  what: string,
  before: readonly Readonly<Record<string, string | number>>[] = [],
  after: readonly Readonly<Record<string, string | number>>[] = [],
): string[] {
  const [was, is] = [before.map(facts), after.map(facts)]
  return [
    ...is.filter((each) => !was.includes(each)).map((each) => `${what} is new: ${each}.`),
    ...was.filter((each) => !is.includes(each)).map((each) => `${what} no longer holds: ${each}.`),
  ]
}

/** What the administrator lets be released more, or no more. */
function handed(before: readonly Handed[], after: readonly Handed[]): string[] {
  const line = ({ file, sha256 }: Handed): string => `${file} (SHA-256 ${sha256})`
  const same = (a: Handed) => (b: Handed) => a.pkesk === b.pkesk && a.sha256 === b.sha256 && a.file === b.file
  return [
    ...after
      .filter((each) => !before.some(same(each)))
      .map((each) => `Holders may release the sealed file ${line(each)}.`),
    ...before
      .filter((each) => !after.some(same(each)))
      .map((each) => `The sealed file ${line(each)} is no longer recorded.`),
  ]
}

/** Sentences; empty if only the number and times differ. A schedule may hold anything that text may: escape it. */
export function policyDifferences(before: Policy, after: Policy): string[] {
  return Object.values(compare).flatMap((differences) => differences(before, after))
}

function changed(what: string, before: string, after: string): string[] {
  return before === after ? [] : [`${what} changes from ${before} to ${after}.`]
}

interface Person {
  readonly name: string
  readonly fingerprint: string
  readonly file: string
  readonly sha256: string
  readonly status: string
  readonly since: string
}

function people(role: string, before: readonly Person[], after: readonly Person[]): string[] {
  const key = (person: Person): string => `${person.name} ${person.fingerprint} ${person.status} ${person.since}`
  const label = (person: Person): string => `${person.name} (${person.fingerprint})`
  const sentences: string[] = []
  const gone = before.filter((p) => !after.some((q) => key(p) === key(q)))
  for (const person of after.filter((p) => !before.some((q) => key(p) === key(q)))) {
    const was = gone.find((p) => p.name === person.name && p.fingerprint === person.fingerprint)
    if (was === undefined) sentences.push(`New ${role} ${label(person)}, ${person.status} since ${person.since}.`)
    else {
      gone.splice(gone.indexOf(was), 1)
      sentences.push(
        was.status === person.status
          ? `The ${role} ${label(person)} is said to be ${person.status} since ${person.since}, no longer ${was.since}.`
          : `The ${role} ${label(person)} is ${person.status} since ${person.since}; was ${was.status}.`,
      )
    }
  }
  for (const person of gone) sentences.push(`The ${role} ${label(person)}, ${person.status}, is no longer named.`)
  for (const person of after) {
    const was = before.find((p) => key(p) === key(person))
    if (was !== undefined && (was.sha256 !== person.sha256 || was.file !== person.file))
      sentences.push(`The certificate file of the ${role} ${label(person)} changes.`)
  }
  return sentences
}

function sources(before: readonly PolicySource[], after: readonly PolicySource[]): string[] {
  const sentences: string[] = []
  for (const source of after) {
    const was = before.find((each) => each.name === source.name)
    if (was === undefined) {
      sentences.push(`New source ${source.name} (${source.kind}).`)
      continue
    }
    const about = `Source ${source.name}`
    sentences.push(
      ...changed(`${about}: its kind`, was.kind, source.kind),
      ...changed(`${about}: its schedule`, was.schedule || "none", source.schedule || "none"),
      ...changed(
        `${about}: the time from which it stores everything anew`,
        was.fresh_after || "none",
        source.fresh_after || "none",
      ),
    )
    if (JSON.stringify(was.keys) !== JSON.stringify(source.keys)) sentences.push(`${about}: its signing keys change.`)
  }
  for (const source of before)
    if (!after.some((each) => each.name === source.name)) sentences.push(`Source ${source.name} is no longer named.`)
  return sentences
}

// Checks of what this machine has to do with its archive: whom it trusts, whether the archive is what it was, whether the
// people's keys and those of the sources here will still do, whether the sources here are backed up as they are meant to.

import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, names, patterns } from "@backup-cloud/format"
import { openGpgHome } from "@backup-cloud/openpgp"
import { importedGpgSigner } from "@backup-cloud/openpgp/sign"
import type { SourceRuns, Trust } from "@backup-cloud/trust"
import { readNextKey, readSecrets } from "backup-cloud/parts/secrets"
import { ageTrouble } from "../overdue.ts"
import type { Session } from "../session.ts"
import { bucketChecks } from "./bucket.ts"
import { type Check, day, endsSoon, NOTICE_DAYS, type Trouble } from "./check.ts"

/** A difference of clocks that no slow network explains. */
const SKEW = 10 * 60_000

/** The checks in their order; those that need what an earlier one found to be missing do not come. */
export async function* archiveChecks(session: Session): AsyncGenerator<Check> {
  const memory = await session.memory.read().catch(asTrouble)
  yield {
    name: "this machine trusts an administrator",
    run: async () => {
      if (memory === null) return { problem: "it trusts nobody yet", mend: "backup-cloud trust ARCHIVE FINGERPRINT" }
      return "problem" in memory ? memory : null
    },
  }
  if (memory === null || "problem" in memory) return
  const trust = await tried(async () => await session.trust({ strict: true }))
  yield {
    name: "the archive can be read, is the one that this machine knows, and its configuration is as signed",
    run: async () => ("problem" in trust ? trust : null),
  }
  if ("problem" in trust) return
  yield* peopleChecks(session, trust)
  const bucket = await tried(async () => await bucketChecks(session, trust))
  if ("problem" in bucket) yield { name: "the bucket can be asked how it is set", run: async () => bucket }
  else yield* bucket
  for (const name of await sourcesOf(session)) yield* sourceChecks(session, trust, name)
}

function* peopleChecks(session: Session, { administrator, certificates, policy }: Trust): Generator<Check> {
  const now = session.io.now()
  yield {
    name: `the administrator's key does not end within ${NOTICE_DAYS} days`,
    run: async () =>
      endsSoon(administrator.expires, now)
        ? {
            problem: `it ends on ${day(administrator.expires)}, and then signs no policy any more`,
            mend: `give it a later end, where the key is: gpg --quick-set-expire ${administrator.fingerprint} 0`,
          }
        : null,
  }
  const people = (["holder", "operator"] as const).flatMap((role) =>
    policy[`${role}s`].map((each) => ({ ...each, who: `the ${role} ${each.name}`, again: `${role} add FILE` })),
  )
  const verifiers = (policy.verifiers ?? []).map((each) => {
    const who = `the verifier ${each.name}, who opens ${each.sources.join(", ")} alone (an accepted risk),`
    return { ...each, who, again: `verifier add FILE --source ${each.sources.join(" --source ")}` }
  })
  for (const { who, name, sha256, again } of [...people, ...verifiers].filter((each) => each.status === "present")) {
    yield {
      name: `the key of ${who} does not end within ${NOTICE_DAYS} days`,
      run: async () => {
        const info = certificates.get(sha256)
        const mend = `have ${name} make a key that does not end, then: backup-cloud ${again}`
        // Of a certificate that is not there, the check of the archive has told.
        if (info === undefined) return null
        if (info.revoked || !info.canEncrypt || !info.canSign) return { problem: "it cannot be used any more", mend }
        return endsSoon(info.expires, now) ? { problem: `it ends on ${day(info.expires)}`, mend } : null
      },
    }
  }
}

/** Every source that the configuration names, or whose keys are on this machine. */
async function sourcesOf({ config }: Session): Promise<string[]> {
  const folders = await readdir(join(config.home, "sources")).catch(() => [])
  return [...new Set([...Object.keys(config.sources), ...folders.filter((name) => patterns.name.test(name))])].sort()
}

async function* sourceChecks(session: Session, trust: Trust, name: string): AsyncGenerator<Check> {
  const { config, io } = session
  const entry = trust.policy.sources.find((source) => source.name === name)
  const key = entry?.keys.at(-1)
  yield {
    name: `${name}: the policy accepts its runs`,
    run: async () => {
      if (key === undefined)
        return {
          problem: "the policy has no such source",
          mend: `the administrator enrols it: backup-cloud source add ${name} URL --certificate FILE`,
        }
      if (key.accept_until !== "")
        return {
          problem: `the policy has ended its key on ${key.accept_until}`,
          mend: `remove it from ${config.file}, or give it a key again: backup-cloud source rekey ${name}`,
        }
      const { expires = null } = trust.certificates.get(key.sha256) ?? {}
      return endsSoon(expires, io.now())
        ? { problem: `its key ends on ${day(expires)}`, mend: `backup-cloud source rekey ${name}` }
        : null
    },
  }
  if (entry === undefined || key === undefined || key.accept_until !== "") return
  yield {
    name: `${name}: its keys are here, and the policy has them`,
    run: () => keyTrouble(session, name, key.fingerprint),
  }
  yield {
    name: `${name}: ${config.file} says where it is`,
    run: async () =>
      config.sources[name] === undefined
        ? {
            problem: "it does not name the source",
            mend: `write into it: sources: { ${name}: { url: "dir:///path" } }`,
          }
        : null,
  }
  const runs = await tried(async () => await session.runs(trust, name))
  yield { name: `${name}: its runs can be read`, run: async () => ("problem" in runs ? runs : null) }
  if ("problem" in runs) return
  yield {
    name: `${name}: it is backed up as often as it should be`,
    run: async () => ageTrouble(runs, entry.schedule, io.now()),
  }
  yield {
    name: `${name}: the clocks of this machine and of the store agree`,
    run: async () => clockTrouble(runs, io.now()),
  }
}

async function keyTrouble(session: Session, name: string, wanted: string): Promise<Trouble | null> {
  const again = `backup-cloud source keygen ${name} --again --out FILE; the administrator: backup-cloud source rekey ${name} --certificate FILE`
  const secrets = await tried(async () => await readSecrets(session, name))
  if (secrets === null) return { problem: "they are not", mend: `backup-cloud source keygen ${name} --out FILE` }
  if ("problem" in secrets) return secrets
  const next = await readNextKey(session, name)
  for (const key of [secrets.signingKey, ...(next === null ? [] : [next])]) {
    await using home = await openGpgHome()
    const signer = await tried(async () => await importedGpgSigner(home, key))
    if ("problem" in signer) return { ...signer, mend: again }
    if (signer.fingerprint === wanted) return null
  }
  return { problem: "the policy has another key", mend: again }
}

/** By the last run: when its receipt says that it ended, and when the store says that its signature arrived. */
function clockTrouble({ runs }: SourceRuns, now: Date): Trouble | null {
  const last = runs.at(-1)
  if (last === undefined) return null
  const apart = last.arrived.getTime() - Date.parse(last.receipt.finished)
  const ahead = last.arrived.getTime() - now.getTime()
  if (Math.abs(apart) <= SKEW && ahead <= SKEW) return null
  const object = names.runDirectory(last.source, last.run)
  return {
    problem:
      ahead > SKEW
        ? `${object} arrived in the future: at ${last.arrived.toISOString()}`
        : `${object} ended at ${last.receipt.finished} by this machine, and arrived at ${last.arrived.toISOString()}`,
    mend: "timedatectl set-ntp true",
  }
}

async function tried<T>(work: () => Promise<T>): Promise<T | Trouble> {
  try {
    return await work()
  } catch (error) {
    return asTrouble(error)
  }
}

/** A fault as what a person can do about it; anything else is a defect. */
function asTrouble(error: unknown): Trouble {
  if (!(error instanceof BackupError)) throw error
  return { problem: error.message, mend: error.hint ?? "backup-cloud keys check, and backup-cloud verify, say more" }
}

// The rules that a policy must obey besides its form. They are checked where a policy is made and again where one is
// read: an administrator cannot sign them away.

import type { Policy } from "@backup-cloud/format"

/** Which rule `policy` breaks, in a sentence without its subject's file; `null` if none. */
export function brokenRule(policy: Policy): string | null {
  return releaseRule(policy) ?? fileRule(policy) ?? roleRule(policy) ?? nameRule(policy) ?? sourceRule(policy)
}

/** Rules are for sources that there are; a source that was removed stays in the policy, and so may what is said of it. */
function sourceRule({ sources, keep = [], holds = [], drills = [], verifiers = [] }: Policy): string | null {
  const named = [...keep, ...holds, ...drills].map(({ source }) => source)
  const unknown = [...named, ...verifiers.flatMap((verifier) => verifier.sources)].find(
    (name) => !sources.some((source) => source.name === name),
  )
  return unknown === undefined ? null : `a rule is for the source ${unknown}, which there is not`
}

function releaseRule({ release, threshold, holders, verifiers }: Policy): string | null {
  if (release === "threshold" && verifiers !== undefined)
    return "a verifier opens runs alone, which a release by several holders is there to prevent"
  if (release === "any" && threshold !== 1) return "a release by any holder has the threshold 1"
  const present = holders.filter((holder) => holder.status === "present").length
  if (present >= threshold) return null
  return `a release needs ${threshold} present holder${threshold === 1 ? "" : "s"}, and there would be ${present}`
}

function fileRule(policy: Policy): string | null {
  const named = [
    ...policy.holders,
    ...policy.operators,
    ...(policy.verifiers ?? []),
    ...policy.sources.flatMap((source) => source.keys.map((key) => ({ ...key, name: source.name }))),
  ]
  for (const { name, file, sha256 } of named)
    if (file !== `${name}-${sha256.slice(0, 16)}.asc`) return `${file} is not how the certificate of ${name} is named`
  const { administrator } = policy
  if (administrator.file !== `${administrator.fingerprint}.asc`)
    return "the administrator's file bears another fingerprint"
  return null
}

/** A fingerprint has one role and, for sources, one source. */
function roleRule(policy: Policy): string | null {
  const all = [
    { role: "administrator", fingerprint: policy.administrator.fingerprint },
    ...policy.holders.map(({ fingerprint }) => ({ role: "holder", fingerprint })),
    ...policy.operators.map(({ fingerprint }) => ({ role: "operator", fingerprint })),
    ...(policy.verifiers ?? []).map(({ fingerprint }) => ({ role: "verifier", fingerprint })),
    ...policy.sources.flatMap(({ name, keys }) =>
      keys.map(({ fingerprint }) => ({ role: `source ${name}`, fingerprint })),
    ),
  ]
  const roles = new Map<string, string>()
  for (const { role, fingerprint } of all) {
    const other = roles.get(fingerprint)
    if (other === role) return `the key ${fingerprint} is there twice as ${role}`
    if (other !== undefined) return `the key ${fingerprint} is ${other} and ${role}: a key has one role`
    roles.set(fingerprint, role)
  }
  return null
}

/** Nobody is operator and holder, not even with two keys: a retired holder still opens the runs of that time. */
function nameRule({ holders, operators, verifiers = [] }: Policy): string | null {
  const both = operators.find((operator) => holders.some((holder) => holder.name === operator.name))
  if (both !== undefined) return `${both.name} is operator and holder: nobody may be both`
  for (const list of [holders, operators, verifiers]) {
    const present = list.filter((entry) => entry.status === "present").map((entry) => entry.name)
    const twice = present.find((name, i) => present.indexOf(name) !== i)
    if (twice !== undefined) return `${twice} would have two present keys: retire the old one in the same step`
  }
  return null
}

// Checks of the bucket of an archive that is in S3: whether it still is what keeps the archive safe, by what this machine's
// credentials may ask. What they may not ask is told as that, neither good nor bad.

import { type Answer, type BucketSettings, bucketSettings } from "@backup-cloud/store"
import type { Trust } from "@backup-cloud/trust"
import * as v from "valibot"
import type { Session } from "../session.ts"
import type { Check, Trouble } from "./check.ts"

/** S3 refuses who is off by a quarter of an hour. */
const SKEW = 5 * 60_000
/** What the stack is called depends on who made it. */
const STACK =
  "update the stack if one made the bucket, from deploy/cloudformation/archive.json; otherwise set it by the tools of its server"

/** None for an archive that is in no bucket. Throws as a store does. */
export async function bucketChecks({ io, archiveUrl }: Session, { policy }: Trust): Promise<Check[]> {
  if (!/^(s3|ssm):/.test(archiveUrl)) return []
  const found = await bucketSettings(archiveUrl, io.env, io.now, io.signal)
  const { horizon_days: horizon, grace_days: grace, retention_days: retention } = policy.rules
  return [...keepingChecks(found, horizon + grace + retention), ...accessChecks(found), ...callerChecks(found)]
}

/** Whether objects stay. @param wanted days */
function keepingChecks({ bucket, versioning, lock, uploads }: BucketSettings, wanted: number): Check[] {
  const lockMend = (what: string): string =>
    `aws s3api put-object-lock-configuration --bucket ${bucket} --object-lock-configuration ${what}; or ${STACK}`
  return [
    check("the bucket keeps versions", versioning, (on) =>
      on
        ? null
        : {
            problem: "it does not: what is deleted or overwritten is gone",
            mend: `aws s3api put-bucket-versioning --bucket ${bucket} --versioning-configuration Status=Enabled`,
          },
    ),
    check(`the bucket locks objects in COMPLIANCE mode for ${wanted} days or more`, lock, (rule) => {
      const right = `'ObjectLockEnabled=Enabled,Rule={DefaultRetention={Mode=COMPLIANCE,Days=${wanted}}}'`
      if (rule === null) return { problem: "it locks none: who may delete can delete at once", mend: lockMend(right) }
      if (rule.mode !== "COMPLIANCE")
        return {
          problem: `the mode is ${rule.mode}: an administrator of the account can lift it`,
          mend: lockMend(right),
        }
      if (rule.days >= wanted) return null
      const why = "what later runs build on, and what the policy guarantees, needs longer"
      return { problem: `it locks them for ${rule.days} days, and ${why}`, mend: lockMend(right) }
    }),
    check("parts of broken-off uploads go by themselves", uploads, (days) =>
      days === null
        ? { problem: "no lifecycle rule takes them away; they cost money and show in no list of objects", mend: STACK }
        : null,
    ),
  ]
}

/** Whether strangers stay out. */
function accessChecks({ bucket, open, encryption, policy }: BucketSettings): Check[] {
  return [
    check("the bucket is closed to the public", open, (lacking) =>
      lacking.length === 0
        ? null
        : {
            problem: `not on: ${lacking.join(", ")}`,
            mend: `aws s3api put-public-access-block --bucket ${bucket} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`,
          },
    ),
    check("the bucket encrypts by default", encryption, (algorithm) =>
      algorithm === null ? { problem: "it does not, though all objects are sealed as well", mend: STACK } : null,
    ),
    check("the bucket's policy refuses whoever comes without TLS", policy, (text) =>
      denies(text, bucket, "s3:*", "Bool", "aws:SecureTransport", "false")
        ? null
        : { problem: "it has no statement that does", mend: STACK },
    ),
    check("the bucket's policy refuses to overwrite", policy, (text) =>
      denies(text, bucket, "s3:PutObject", "Null", "s3:if-none-match", "true")
        ? null
        : { problem: "it has no statement that refuses a create without If-None-Match", mend: STACK },
    ),
  ]
}

function callerChecks({ caller, ahead }: BucketSettings): Check[] {
  const name =
    "value" in caller ? `this machine comes as ${caller.value}, not as an account's root` : "who this machine is"
  return [
    check(name, caller, rootTrouble),
    check(
      "the clocks of this machine and of the bucket agree to five minutes",
      ahead === null ? { unasked: "not known to the server" } : { value: ahead },
      (milliseconds) => {
        if (Math.abs(milliseconds) <= SKEW) return null
        const minutes = (Math.abs(milliseconds) / 60_000).toFixed(0)
        return {
          problem: `this one is ${minutes} minutes ${milliseconds > 0 ? "behind" : "ahead"}; S3 refuses all from 15 on`,
          mend: "timedatectl set-ntp true",
        }
      },
    ),
  ]
}

/** @param arn of who asks */
export function rootTrouble(arn: string): Trouble | null {
  if (!/^arn:[a-z-]+:iam::[0-9]+:root$/.test(arn)) return null
  return {
    problem: "its rights have no bound",
    mend: "take the role that the stack made for you: aws sts assume-role --role-arn ROLE --role-session-name NAME",
  }
}

function check<T>(name: string, answer: Answer<T>, judge: (value: T) => Trouble | null): Check {
  return {
    name,
    async run() {
      if ("value" in answer) return judge(answer.value)
      return answer.unasked === "no right"
        ? {
            unknown: true,
            problem: "these credentials may not ask",
            mend: "run backup-cloud doctor with those of an administrator of the account",
          }
        : { unknown: true, problem: "the server does not tell", mend: "see what its own tools say of it" }
    },
  }
}

const list = v.union([v.string(), v.array(v.string())])
const statementSchema = v.object({
  Effect: v.string(),
  Principal: v.optional(v.unknown()),
  Action: v.optional(list, []),
  Resource: v.optional(list, []),
  Condition: v.optional(v.record(v.string(), v.record(v.string(), v.union([v.boolean(), list]))), {}),
})
const policySchema = v.object({
  Statement: v.union([
    v.array(v.unknown()),
    v.pipe(
      v.unknown(),
      v.transform((one) => [one]),
    ),
  ]),
})

/**
 * Whether a bucket's policy denies everybody `action` on all objects where the condition holds. A statement that has
 * another condition as well denies less.
 */
function denies(
  text: string | null,
  bucket: string,
  action: string,
  ...[operator, key, value]: readonly [operator: string, key: string, value: string]
): boolean {
  if (text === null) return false
  return v.parse(policySchema, JSON.parse(text)).Statement.some((each) => {
    const { success, output } = v.safeParse(statementSchema, each)
    if (!success || output.Effect !== "Deny") return false
    const conditions = Object.entries(output.Condition).flatMap(([by, keys]) =>
      Object.entries(keys).map(
        ([name, values]) => `${by.replace("IfExists", "")} ${name.toLowerCase()} ${[values].flat().join()}`,
      ),
    )
    const everybody = JSON.stringify(output.Principal)
    return (
      ['"*"', '{"AWS":"*"}'].includes(everybody) &&
      [output.Action].flat().some((each) => each === action || each === "s3:*" || each === "*") &&
      [output.Resource].flat().some((each) => each.endsWith(`:s3:::${bucket}/*`)) &&
      conditions.join("\n") === `${operator} ${key.toLowerCase()} ${value}`
    )
  })
}

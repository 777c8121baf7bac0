// The table of access notices a change of the policies: each action, resource and condition of each statement is taken out,
// one at a time, and a row must fail. What no row needs is named here with its reason; such a right that a row does need is noticed
// as well.

import assert from "node:assert/strict"
import { test } from "node:test"
import { failures } from "./access-rows.ts"
import { arnOf, type Policies, type Policy, policies, type Question, type RoleName, type Statement } from "./judge.ts"

const deployed = policies()

const asks = "a status page may ask for the lock; no command does so far but the administrator's"
const beside = "names of what lies beside the archive in its bucket; the bucket is the archive's alone"
const stack = "access.test.ts changes the stack, by the role that deploys and by CloudFormation"
/** Rights that nothing uses, and conditions that no row needs, as the mutant that takes one out, with the reason why they are there. */
const unproved: Readonly<Record<string, string>> = {
  "operator: List without StringLike": beside,
  "operator: Read without s3:GetObjectRetention": asks,
  "operator: Ask without s3:GetBucketVersioning": asks,
  "operator: Ask without s3:GetBucketObjectLockConfiguration": asks,
  "operator: Ask without arn:aws:s3:::the-bucket": asks,
  "administrator: List without StringLike": beside,
  "administrator: Read without s3:GetObjectRetention": asks,
  "administrator: Expire without s3:DeleteObject": "a bucket of another server without versions knows no other way",
  "bucket: NoForeignKeys without StringNotEquals": "options.test.ts creates under the key that is allowed",
  "bucket: OnlyTheStackChanges without ArnNotLike": stack,
  "bucket: OnlyTheStackChanges without ForAllValues:StringNotEquals": stack,
}

interface Mutant {
  readonly name: string
  /** Whether the answer to this question can be another one. */
  readonly concerns: (row: Question) => boolean
  readonly all: Policies
}

interface Less {
  readonly name: string
  readonly policy: Policy
  readonly concerns: (row: Question) => boolean
}

/**
 * The policy without one action, resource or operator of the condition of one statement; without the statement if it was the
 * only action or resource.
 */
function* withoutOne(policy: Policy): Generator<Less> {
  for (const statement of policy.Statement) {
    for (const part of ["Action", "Resource"] as const) {
      const items = [statement[part] ?? []].flat()
      for (const item of items) {
        const left = items.filter((each) => each !== item)
        const changed: Statement[] = left.length === 0 ? [] : [{ ...statement, [part]: left }]
        const Statement = policy.Statement.flatMap((each) => (each === statement ? changed : [each]))
        yield {
          name: `${statement.Sid} without ${item}`,
          policy: { ...policy, Statement },
          concerns: ({ action, resource }) => matchesGlob(part === "Action" ? action : arnOf(resource), item),
        }
      }
    }
    const { Condition, ...unconditional } = statement
    for (const operator of Object.keys(Condition ?? {})) {
      const left = Object.fromEntries(Object.entries(Condition ?? {}).filter(([name]) => name !== operator))
      const changed = Object.keys(left).length === 0 ? unconditional : { ...statement, Condition: left }
      yield {
        name: `${statement.Sid} without ${operator}`,
        policy: { ...policy, Statement: policy.Statement.map((each) => (each === statement ? changed : each)) },
        concerns: ({ action }) => [statement.Action].flat().some((each) => matchesGlob(action, each)),
      }
    }
  }
}

/** IAM's `*` takes slashes too. */
function matchesGlob(text: string, pattern: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+^${}()|[\]\\?]/g, "\\$&"))
  return new RegExp(`^${parts.join(".*")}$`, "s").test(text)
}

function* mutants(): Generator<Mutant> {
  for (const role of Object.keys(deployed.roles) as RoleName[]) {
    for (const { name, policy, concerns } of withoutOne(deployed.roles[role])) {
      const all = { ...deployed, roles: { ...deployed.roles, [role]: policy } }
      yield {
        name: `${role}: ${name}`,
        all,
        concerns: (row) => row.principal === (role === "run" ? "source" : role) && concerns(row),
      }
    }
  }
  for (const { name, policy, concerns } of withoutOne(deployed.bucket))
    yield { name: `bucket: ${name}`, all: { ...deployed, bucket: policy }, concerns }
}

test("each action, each resource and each condition of each policy is needed by a row", async () => {
  const survivors: string[] = []
  let count = 0
  for (const { name, all, concerns } of mutants()) {
    count++
    if ((await failures(all, concerns).next()).done === true) survivors.push(name)
  }
  assert.ok(count >= 100, String(count))
  assert.deepEqual(survivors, Object.keys(unproved))
})

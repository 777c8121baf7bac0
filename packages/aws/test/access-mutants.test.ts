// The table of access notices a change of the policies: each action and each resource of each statement is taken out, one at
// a time, and a row must fail. What no row needs is named here with its reason; such a right that a row does need is noticed
// as well.

import assert from "node:assert/strict"
import { test } from "node:test"
import { failures } from "./access-rows.ts"
import { arnOf, type Policies, type Policy, policies, type Question, type RoleName, type Statement } from "./judge.ts"

const deployed = policies()

const asks = "a status page may ask for the lock; no command does so far but the administrator's"
/** Rights that nothing uses, as the mutant that takes one out, with the reason why they are there. */
const unproved: Readonly<Record<string, string>> = {
  "operator: Read without s3:GetObjectRetention": asks,
  "operator: Ask without s3:GetBucketVersioning": asks,
  "operator: Ask without s3:GetBucketObjectLockConfiguration": asks,
  "operator: Ask without arn:aws:s3:::the-bucket": asks,
  "administrator: Read without s3:GetObjectRetention": asks,
  "administrator: Expire without s3:DeleteObject": "a bucket of another server without versions knows no other way",
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

/** The policy without one action or one resource of one statement; without the statement if it was the only one. */
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
      yield { name: `${role}: ${name}`, all, concerns: (row) => row.principal === role && concerns(row) }
    }
  }
  for (const { name, policy, concerns } of withoutOne(deployed.bucket))
    yield { name: `bucket: ${name}`, all: { ...deployed, bucket: policy }, concerns }
}

test("each action and each resource of each policy is needed by a row", async () => {
  const survivors: string[] = []
  let count = 0
  for (const { name, all, concerns } of mutants()) {
    count++
    if ((await failures(all, concerns).next()).done === true) survivors.push(name)
  }
  assert.ok(count >= 100, String(count))
  assert.deepEqual(survivors, Object.keys(unproved))
})

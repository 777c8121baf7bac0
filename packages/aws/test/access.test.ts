// Access, proved: what the journey asks for goes through with the templates' policies, and what the security analysis says
// cannot be done does not. Each refusal is shown to be one: the same question goes through once what stops it is taken away.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { collect } from "../../store/test/helpers.ts"
import { SETTINGS } from "./access-denied.ts"
import { allowedRows, deniedRows, failures, isAllowed, show } from "./access-rows.ts"
import { EVERYTHING, judge, type Policy, policies, type Question } from "./judge.ts"

const deployed = policies()
const analysis = readFileSync(join(import.meta.dirname, "../../../docs/security-analysis.md"), "utf8").replace(
  /\s+/g,
  " ",
)

test("what the journey asked for is allowed, and what the security analysis rules out is refused as its row says", async () => {
  assert.ok(allowedRows.length >= 40, String(allowedRows.length))
  assert.ok(deniedRows.length >= 110, String(deniedRows.length))
  for (const rows of [allowedRows, deniedRows]) assert.equal(new Set(rows.map(show)).size, rows.length)
  assert.deepEqual(await collect(failures(deployed, () => true)), [])
})

test("each row that is refused cites a sentence of the security analysis, and each sentence of the section is cited", () => {
  const [, section = ""] = /## In an account of AWS (.*?) What is left to those/.exec(analysis) ?? []
  const sentences = section.split(" - ").slice(1)
  assert.ok(sentences.length >= 15)
  assert.deepEqual(
    [...new Set(deniedRows.map(({ cites }) => cites))].sort(),
    sentences.map((each) => each.trim()).sort(),
  )
})

test("each refusal goes through once what stops it is gone", async () => {
  for (const row of deniedRows) assert.equal(await judge(row, [EVERYTHING], opened(row)), "Allowed", show(row))
})

/** The policy of a bucket or role that would let the row's principal in; null where its own policy is enough. */
function opened({ principal, action }: Question): Policy | null {
  const statement = { Sid: "Anybody", Effect: "Allow", Principal: { AWS: "*" }, Action: action } as const
  if (action.startsWith("sts:")) return { Version: "2012-10-17", Statement: [statement] }
  if (principal !== "stranger") return null
  return { Version: "2012-10-17", Statement: [{ ...statement, Resource: ["*"] }] }
}

test("the stack itself can be changed: by the role that deploys, and by CloudFormation for an administrator", async () => {
  for (const action of SETTINGS) {
    const row = { action, resource: "" }
    assert.ok(await isAllowed({ ...row, principal: "deployer" }, deployed), action)
    const context = { "aws:CalledVia": "cloudformation.amazonaws.com" }
    assert.ok(await isAllowed({ ...row, principal: "account", context }, deployed), action)
  }
})

// The policies of the page are enough, and each right in them is needed: without it the same fails, and only that.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, test } from "node:test"
import { DeleteParameterCommand } from "@aws-sdk/client-ssm"
import { BackupError, isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { anybody } from "../../store/test/moto.ts"
import { ssmSource } from "../src/index.ts"
import type { Policy } from "./tap.ts"
import { lab, REGION, restoreLatest } from "./world.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/sources/ssm.md"), "utf8")
const [toBackUp, toRestore] = [...page.matchAll(/```json\n([^]*?)```/g)].map(
  ([, json = ""]) => JSON.parse(json) as Policy,
)
const l = lab()
let machine: Machine

beforeEach(async () => {
  await l.reset()
  await l.put({ Name: "/prod/a", Value: "v", Tags: [{ Key: "k", Value: "v" }] })
  await l.put({ Name: "/other/b", Value: "w" })
  machine = await makeMachine(ssmSource({ ...l.access, path: "/prod" }))
})

const actionsOf = (policy: Policy): string[] =>
  policy.Statement.flatMap(({ Action }) => Action).filter((action) => action.startsWith("ssm:"))

const without = (policy: Policy, action: string): Policy => ({
  Statement: policy.Statement.map((each) => ({ ...each, Action: each.Action.filter((given) => given !== action) })),
})

/** `complete`, another outcome, or the fault. */
async function outcomeOf(act: () => Promise<string>): Promise<string> {
  try {
    return await act()
  } catch (error) {
    assert.ok(error instanceof BackupError, String(error))
    return error.fault
  }
}

test("a backup needs each right of its policy, and no other", async () => {
  const backup = () => outcomeOf(async () => (await machine.backup(machine.store)).outcome)
  for (const action of actionsOf(toBackUp!)) {
    l.tap.policy = without(toBackUp!, action)
    assert.equal(await backup(), action === "ssm:GetParameters" ? "partial" : "refused", action)
  }
  l.tap.policy = toBackUp!
  assert.equal(await backup(), "complete")
  const other = await makeMachine(ssmSource({ ...l.access, path: "/other" }))
  assert.equal(await outcomeOf(async () => (await other.backup(other.store)).outcome), "refused")
  await assert.rejects(restoreLatest(machine, l.access), (error) => isFault(error, "refused"), "it may not write")
})

test("a restore needs each right of its policy, and no other", async () => {
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  // One to be made anew below another path, one there with another value and another tag.
  const both = () =>
    outcomeOf(async () => {
      await l.client.send(new DeleteParameterCommand({ Name: "/prod/a" }))
      await restoreLatest(machine, l.access)
      await l.client.send(new DeleteParameterCommand({ Name: "/prod/a" }))
      await l.put({ Name: "/prod/a", Value: "x", Tags: [{ Key: "more", Value: "v" }] })
      return (await restoreLatest(machine, { ...l.access, overwrite: true })).problems.length === 0
        ? "whole"
        : "not whole"
    })
  for (const action of actionsOf(toRestore!)) {
    l.tap.policy = without(toRestore!, action)
    assert.equal(await both(), "refused", action)
    await l.put({ Name: "/prod/a", Value: "v", Overwrite: true })
  }
  l.tap.policy = toRestore!
  assert.equal(await both(), "whole")
})

test("a server that refuses in a form the SDK cannot read has refused", async () => {
  const iam = async (action: string, parameters: Record<string, string>): Promise<string> => {
    const scope = "Credential=anybody/20261123/us-east-1/iam/aws4_request"
    const authorization = `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0`
    const body = new URLSearchParams({ Action: action, Version: "2010-05-08", ...parameters })
    const answer = await fetch(l.moto.endpoint, { method: "POST", headers: { authorization }, body })
    assert.ok(answer.ok, action)
    return await answer.text()
  }
  await iam("CreateUser", { UserName: "u" })
  const allow = async (...Action: string[]): Promise<void> => {
    await l.moto.enforceRights(false)
    const PolicyDocument = JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Action, Resource: "*" }],
    })
    await iam("PutUserPolicy", { UserName: "u", PolicyName: "p", PolicyDocument })
    await l.moto.enforceRights(true)
  }
  const made = await iam("CreateAccessKey", { UserName: "u" })
  const field = (tag: string): string => new RegExp(`<${tag}>([^<]+)</${tag}>`).exec(made)![1]!
  const credentials = { accessKeyId: field("AccessKeyId"), secretAccessKey: field("SecretAccessKey") }
  const access = { endpoint: l.moto.endpoint, region: REGION, credentials, tries: 2 }
  assert.notDeepEqual(credentials, anybody)
  const user = await makeMachine(ssmSource({ ...access, path: "/prod" }))
  const backup = () => outcomeOf(async () => (await user.backup(user.store)).outcome)
  try {
    await allow("ssm:GetParameters")
    assert.equal(await backup(), "refused")
    await allow("ssm:DescribeParameters", "ssm:ListTagsForResource")
    assert.equal(await backup(), "partial")
    await allow("ssm:DescribeParameters", "ssm:ListTagsForResource", "ssm:GetParameters")
    assert.equal(await backup(), "complete")
  } finally {
    await l.moto.enforceRights(false)
  }
})

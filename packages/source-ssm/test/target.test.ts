// Parameters restored from real runs: everything that makes one comes back; what is there is never overwritten unasked.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import {
  DeleteParameterCommand,
  DescribeParametersCommand,
  GetParameterCommand,
  ListTagsForResourceCommand,
} from "@aws-sdk/client-ssm"
import { isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { ssmSource } from "../src/index.ts"
import { lab, restoreLatest } from "./world.ts"

const l = lab()
const policies = JSON.stringify([
  { Type: "Expiration", Version: "1.0", Attributes: { Timestamp: "2030-01-01T00:00:00.000Z" } },
])
let machine: Machine

const everything = {
  Name: "/app/secret",
  Value: "pässword",
  Type: "SecureString",
  Description: "the ünique one",
  KeyId: "alias/mine",
  Tier: "Advanced",
  Policies: policies,
  AllowedPattern: "^p",
  Tags: [
    { Key: "Owner", Value: "ops team" },
    { Key: "Ünit", Value: "" },
  ],
} as const

/** A run of `/app/secret`, which has everything, and `/app` and `/app/image`. */
beforeEach(async () => {
  await l.reset()
  await l.put({ ...everything, Tags: [...everything.Tags] })
  await l.put({ Name: "/app", Value: "beside its folder" })
  await l.put({ Name: "/app/list", Value: "a,b", Type: "StringList" })
  machine = await makeMachine(ssmSource({ ...l.access, path: "/" }))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
})

/** All that moto has of a parameter. */
async function state(name: string): Promise<Record<string, unknown>> {
  const value = await l.client.send(new GetParameterCommand({ Name: name, WithDecryption: true }))
  const filter = { Key: "Name", Option: "Equals", Values: [name] }
  const { Parameters } = await l.client.send(new DescribeParametersCommand({ ParameterFilters: [filter] }))
  const tags = await l.client.send(new ListTagsForResourceCommand({ ResourceType: "Parameter", ResourceId: name }))
  const { LastModifiedDate, Version, ...described } = Parameters![0]!
  assert.ok(LastModifiedDate !== undefined && Version !== undefined)
  const sorted = tags.TagList!.map(({ Key, Value }) => `${Key}=${Value}`).toSorted()
  return { ...described, Value: value.Parameter!.Value, Tags: sorted }
}

const remove = (name: string) => l.client.send(new DeleteParameterCommand({ Name: name }))

test("a parameter comes back with everything that makes it one", async () => {
  const names = ["/app/secret", "/app", "/app/list"]
  const before = await Promise.all(names.map(state))
  assert.equal(before[0]!["Value"], "pässword")
  assert.deepEqual(before[0]!["Tags"], ["Owner=ops team", "Ünit="])
  for (const name of names) await remove(name)
  const result = await restoreLatest(machine, l.access, { verify: true })
  assert.deepEqual([result.files, result.resumed, result.problems], [3, 0, []])
  assert.deepEqual(await Promise.all(names.map(state)), before)
  const again = await restoreLatest(machine, l.access, { verify: true })
  assert.deepEqual([again.resumed, again.problems], [3, []])
  assert.deepEqual(
    again.events.map(({ event, name }) => `${event} ${name}`).toSorted(),
    names.map((name) => `equal ${name}`).toSorted(),
  )
})

test("what differs is left and reported, each field by its name; and overwritten when that is asked for", async () => {
  const before = await state("/app/secret")
  const change = {
    Name: "/app/secret",
    Overwrite: true,
    Value: "changed since",
    Type: "String",
    Description: "",
  } as const
  await l.put({ ...change, Tier: "Standard", DataType: "text" })
  await remove("/app/list")
  const changed = await state("/app/secret")
  const result = await restoreLatest(machine, l.access)
  assert.deepEqual(await state("/app/secret"), changed)
  assert.equal((await state("/app/list"))["Value"], "a,b", "the others are restored")
  assert.deepEqual(
    result.problems.map(({ path, expected }) => [path, expected]),
    [["app/secret", false]],
  )
  const different = result.events.find((event) => event.event === "different")
  assert.deepEqual(different?.what, ["value", "type", "description", "tier", "key"])
  await assert.rejects(restoreLatest(machine, l.access, { verify: true }), (error) => isFault(error, "differs"))

  const overwritten = await restoreLatest(machine, { ...l.access, overwrite: true }, { verify: true })
  assert.deepEqual(overwritten.problems, [])
  assert.deepEqual(await state("/app/secret"), before)
})

test("tags alone differ, and are made what they were", async () => {
  const before = await state("/app/secret")
  await remove("/app/secret")
  await l.put({
    ...everything,
    Tags: [
      { Key: "Owner", Value: "others" },
      { Key: "More", Value: "x" },
    ],
  })
  const { events } = await restoreLatest(machine, l.access)
  assert.deepEqual(events.find((event) => event.event === "different")?.what, ["tags"])
  await restoreLatest(machine, { ...l.access, overwrite: true })
  assert.deepEqual(await state("/app/secret"), before)
})

test("below another path and with another key, beside what is there", async () => {
  const before = await state("/app/secret")
  const result = await restoreLatest(machine, { ...l.access, below: "/drill/", keyId: "alias/other" }, { verify: true })
  assert.deepEqual(result.problems, [])
  const { Name, KeyId, ...same } = await state("/drill/app/secret")
  assert.deepEqual([Name, KeyId], ["/drill/app/secret", "alias/other"])
  assert.deepEqual({ ...same, Name: "/app/secret", KeyId: "alias/mine" }, before)
  assert.equal((await state("/drill/app"))["Value"], "beside its folder")
})

test("what was written is not seen at once: verifying waits for it, and not for ever", async () => {
  await remove("/app/list")
  await l.put({ Name: "/app/list", Value: "older", Type: "StringList" })
  let stale = 0
  const waits: number[] = []
  const access = { ...l.access, sleep: async (ms: number) => void waits.push(ms) }
  let written = false
  l.tap.intercept = ({ action, body }) => {
    if (action === "PutParameter") written = true
    if (!written || action !== "GetParameter" || body["Name"] !== "/app/list" || stale === 0) return null
    stale--
    return { status: 400, code: "ParameterNotFound" }
  }
  stale = 3
  const result = await restoreLatest(machine, { ...access, overwrite: true }, { verify: true })
  assert.deepEqual([result.problems, stale, waits.length], [[], 0, 3])
  assert.equal((await state("/app/list"))["Value"], "a,b")

  written = false
  stale = 1_000
  await remove("/app/list")
  await assert.rejects(restoreLatest(machine, access, { verify: true }), (error) => isFault(error, "differs"))
})

test("what is throttled or changed by others at the same time is tried again", async () => {
  await remove("/app/list")
  const refusals = ["ThrottlingException", "TooManyUpdates", "TooManyUpdates"]
  l.tap.intercept = ({ action }) => {
    const code = action === "PutParameter" ? refusals.shift() : undefined
    return code === undefined ? null : { status: 400, code }
  }
  const result = await restoreLatest(machine, l.access, { verify: true })
  assert.deepEqual([result.problems, refusals], [[], []])
})

test("what AWS refuses of one parameter is reported, and the others go on; a missing right ends the restore", async () => {
  for (const name of ["/app/secret", "/app/list"]) await remove(name)
  const refuse = (code: string, name: string) => {
    l.tap.intercept = ({ action, body }) =>
      action === "PutParameter" && body["Name"] === name ? { status: 400, code } : null
  }
  refuse("InvalidKeyId", "/app/secret")
  const result = await restoreLatest(machine, l.access)
  assert.equal(result.problems.length, 1)
  assert.match(result.problems[0]!.why, /InvalidKeyId/)
  assert.equal((await state("/app/list"))["Value"], "a,b")
  refuse("AccessDeniedException", "/app/secret")
  await assert.rejects(restoreLatest(machine, l.access), (error) => isFault(error, "refused"))
  l.tap.intercept = () => null
  assert.deepEqual((await restoreLatest(machine, l.access)).problems, [])
})

test("a parameter that comes into being meanwhile is not overwritten", async () => {
  await remove("/app/list")
  l.tap.intercept = ({ action }) => {
    if (action === "PutParameter") return { status: 400, code: "ParameterAlreadyExists" }
    return null
  }
  const { problems } = await restoreLatest(machine, l.access)
  assert.deepEqual(
    problems.map(({ path }) => path),
    ["app/list"],
  )
  const puts = l.tap.asked.filter(({ action }) => action === "PutParameter")
  assert.deepEqual(
    puts.map(({ body }) => body["Overwrite"]),
    [false],
  )
})

// The JSON of the earlier tool, both ways.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { inspect } from "node:util"
import { DeleteParameterCommand } from "@aws-sdk/client-ssm"
import { BackupError, isFault } from "@backup-cloud/format"
import { collect, signal } from "../../trust/test/archive.ts"
import { exportJson, importJson, type SsmEvent } from "../src/index.ts"
import { lab } from "./world.ts"

const l = lab()
beforeEach(() => l.reset())

const parameters = {
  "/prod/a": { type: "String", value: 'line\n"quoted" ünicode', description: "" },
  "/prod/a/b": { type: "SecureString", value: "secret", description: "the ünique one" },
  "/prod/list": { type: "StringList", value: "a,b", description: "" },
}

async function putAll(): Promise<void> {
  for (const [Name, { type, value, description }] of Object.entries(parameters))
    await l.put({
      Name,
      Type: type as "String",
      Value: value,
      ...(description === "" ? {} : { Description: description }),
    })
}

const text = async (path = "/prod"): Promise<string> =>
  (await collect(exportJson({ ...l.access, path }, signal))).join("")

async function take(json: string, overwrite = false) {
  const events: SsmEvent[] = []
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    const bytes = Buffer.from(json)
    for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7)
  }
  const result = await importJson(pieces(), { ...l.access, overwrite, onEvent: (event) => events.push(event) }, signal)
  return { ...result, events }
}

test("an export has all parameters below the path, by name, and imports to the same", async () => {
  await putAll()
  await l.put({ Name: "/other", Value: "x" })
  for (let i = 10; i < 32; i++) await l.put({ Name: `/many/p${i}`, Value: `v${i}` })
  const exported = await text()
  assert.deepEqual(JSON.parse(exported), parameters)
  assert.deepEqual(Object.keys(JSON.parse(exported) as object), Object.keys(parameters))
  assert.equal(Object.keys(JSON.parse(await text("/")) as object).length, 26)
  assert.equal(await text("/nothing"), "{}\n")
  for (const Name of Object.keys(parameters)) await l.client.send(new DeleteParameterCommand({ Name }))
  assert.equal(await text(), "{}\n")
  const first = await take(exported)
  assert.deepEqual([first.written, first.equal, first.problems], [3, 0, []])
  assert.equal(await text(), exported)
  const second = await take(exported)
  assert.deepEqual([second.written, second.equal, second.problems], [0, 3, []])
  assert.deepEqual(
    second.events.map(({ event }) => event),
    ["equal", "equal", "equal"],
  )
})

test("an import overwrites only when told", async () => {
  await putAll()
  const exported = await text()
  await l.put({ Name: "/prod/a", Value: "changed", Overwrite: true })
  const left = await take(exported)
  assert.deepEqual([left.written, left.equal, left.problems.map(({ path }) => path)], [0, 2, ["prod/a"]])
  assert.notEqual(await text(), exported)
  const overwritten = await take(exported, true)
  assert.deepEqual([overwritten.written, overwritten.equal, overwritten.problems], [1, 2, []])
  assert.equal(await text(), exported)
})

test("a description may be missing", async () => {
  assert.equal((await take('{"/x": {"type": "String", "value": "v"}}')).written, 1)
  assert.deepEqual(JSON.parse(await text("/")), { "/x": { type: "String", value: "v", description: "" } })
})

test("a text that is not right as a whole writes nothing, and is never quoted", async () => {
  const good = { type: "SecureString", value: "hunter2", description: "" }
  const whole = JSON.stringify({ "/good": good, "/z": good })
  const broken = [
    whole.slice(0, -1),
    `[${whole}]`,
    '"hunter2"',
    ...[
      { ...good, type: "hunter2" },
      { ...good, value: 2 },
      { ...good, value: "" },
      { ...good, more: "hunter2" },
    ].map((bad) => JSON.stringify({ "/good": good, "/z": bad })),
    JSON.stringify({ "/good": good, "/z": "hunter2" }),
    JSON.stringify({ "/good": good, "/z": { ...good, description: ["hunter2"] } }),
  ]
  for (const json of broken)
    await assert.rejects(take(json), (error) => {
      assert.ok(isFault(error, "usage"), String(error))
      assert.ok(!inspect(error, { depth: 9 }).includes("hunter2"), json)
      return true
    })
  assert.deepEqual(l.tap.asked, [])
  assert.equal((await take(whole)).written, 2)
})

test("names are shown with control characters escaped", async () => {
  const name = "/a\u001b[31m\u202e"
  l.tap.intercept = () => ({ status: 400, code: "AccessDeniedException" })
  for (const json of [{ [name]: { type: "String", value: "v" } }, { [name]: {} }])
    await assert.rejects(take(JSON.stringify(json)), (error) => {
      assert.ok(error instanceof BackupError)
      assert.match(error.message, /\/a\\u\{1b\}\[31m\\u\{202e\}/)
      return true
    })
})

test("an export with a value that cannot be had fails before its end", async () => {
  await putAll()
  l.tap.intercept = ({ action, body }) =>
    action === "GetParameters" && (body["Names"] as string[]).includes("/prod/list:1")
      ? { status: 400, code: "AccessDeniedException" }
      : null
  const pieces: string[] = []
  await assert.rejects(
    async () => {
      for await (const piece of exportJson({ ...l.access, path: "/prod" }, signal)) pieces.push(piece)
    },
    (error) => isFault(error, "refused") && error.message.startsWith("parameter /prod/list: "),
  )
  assert.throws(() => JSON.parse(pieces.join("")) as unknown)
})

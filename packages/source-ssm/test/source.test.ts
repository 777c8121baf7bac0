// Parameters as a source: the contract of all sources in whole runs, names that no tree of files has, what is asked of AWS
// and what is not.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { AddTagsToResourceCommand, DeleteParameterCommand } from "@aws-sdk/client-ssm"
import { isFault, type SourceEntry, toByteString } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { sourceContract } from "../../backup/test/source-contract.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { ssmSource } from "../src/index.ts"
import { pathsOf } from "../src/paths.ts"
import { attributesOf, lab } from "./world.ts"

const l = lab()
beforeEach(() => l.reset())

const source = (path = "/") => ssmSource({ ...l.access, path })

sourceContract("ssm", { broken: "unavailable", loses: true }, async () => {
  await l.reset()
  const content = new Map<string, string>()
  const put = async (name: string, value: string, more: object = {}): Promise<void> => {
    await l.put({ Name: `/${name}`, Value: value, ...more })
    content.set(name, toByteString(value))
  }
  for (let i = 10; i < 35; i++) await put(`many/p${i}`, `value ${i}`)
  const secret = { Type: "SecureString", Description: "the ünique one", KeyId: "alias/mine" }
  await put("app/secret", "pässword", secret)
  await put("app/list", "a,b", { Type: "StringList", Tier: "Advanced" })
  return {
    source: source(),
    content: () => content,
    attributes: (path) =>
      path === "app/secret"
        ? {
            "ssm.type": "SecureString",
            "ssm.description": toByteString("the ünique one"),
            "ssm.key-id": "alias/mine",
            "ssm.data-type": "text",
          }
        : path === "app/list"
          ? { "ssm.type": "StringList", "ssm.tier": "Advanced" }
          : { "ssm.type": "String" },
    async change() {
      await put("app/secret", "pässword 2", { ...secret, Overwrite: true })
      return "app/secret"
    },
    async breakOff() {
      l.tap.intercept = ({ action }) => (action === "GetParameters" ? "hang up" : null)
      return async () => {
        l.tap.intercept = () => null
      }
    },
    async lose() {
      await l.put({ Name: "/many/p20", Value: "changed", Overwrite: true })
      l.tap.intercept = ({ action, body }) =>
        action === "GetParameters" && (body["Names"] as string[]).some((name) => name.startsWith("/many/p20:"))
          ? { status: 400, code: "AccessDeniedException" }
          : null
      return { path: "many/p20", word: "AccessDeniedException" }
    },
  }
})

test("only what is below the path is listed, by its whole name", async () => {
  for (const name of ["/prod/a", "/prod/b/c", "/production/x", "/prod", "plain"])
    await l.put({ Name: name, Value: "v" })
  const paths = async (path: string): Promise<string[]> =>
    (await collect(source(path).entries(signal))).flat().map((entry) => `${entry.type} ${entry.path}`)
  assert.deepEqual(await paths("/prod"), ["d .", "d prod", "f prod/a", "d prod/b", "f prod/b/c"])
  assert.deepEqual(await paths("/prod/"), await paths("/prod"))
  assert.deepEqual(await paths("/nothing"), ["d ."])
  assert.equal((await paths("/")).filter((each) => each.startsWith("f ")).length, 5)
  for (const path of ["", "prod", "//", "/a//b", "/a*"])
    assert.throws(
      () => source(path),
      (e) => isFault(e, "usage"),
    )
})

test("names that no tree of files has get a path of their own, and come back by their name", async () => {
  const names = ["/a", "/a/b", "/a/b/c", "b", "/c", `/${"x".repeat(300)}`]
  for (const [i, name] of names.entries()) await l.put({ Name: name, Value: `value ${i}` })
  const machine = await makeMachine(source())
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  const attributes = await attributesOf(machine)
  const content = await machine.content(machine.store, "latest")
  const back = new Map([...content].map(([path, value]) => [attributes.get(path)?.["ssm.name"] ?? `/${path}`, value]))
  assert.deepEqual(
    back,
    new Map(
      names
        .toSorted()
        .map((name) => [name, `value ${names.indexOf(name)}`] as const)
        .toSorted(),
    ),
  )
  assert.deepEqual(
    [...content.keys()].filter((path) => /^[ab]/.test(path)),
    ["a/b/c", "a/b@", "a@", "b"],
  )
})

test("paths are the same whatever the order of names", () => {
  const names = ["/a", "a", "/a/b", "/a/b/..", "/./x", `/${"y".repeat(255)}`, `/${"y".repeat(255)}/z`]
  const paths = pathsOf(names)
  assert.deepEqual(new Set(paths.values()).size, names.length)
  assert.deepEqual(new Map(names.map((name) => [name, pathsOf(names.toReversed()).get(name)])), paths)
  assert.deepEqual(pathsOf(["a", "/a"]).get("/a"), "a")
})

test("values are fetched ten at a time, by the version listed, and not again while nothing changes", async () => {
  for (let i = 10; i < 35; i++) await l.put({ Name: `/p${i}`, Value: `v${i}` })
  const machine = await makeMachine(source())
  const fetched = (): string[][] =>
    l.tap.asked.splice(0).flatMap(({ action, body }) => (action === "GetParameters" ? [body["Names"] as string[]] : []))
  await machine.backup(machine.store)
  const first = fetched()
  assert.deepEqual(
    first.flat().toSorted(),
    Array.from({ length: 25 }, (_, i) => `/p${i + 10}:1`),
  )
  assert.ok(first.length <= 5, `${first.length} requests for 25 values`)
  // A tag changes neither version nor time, and is kept nonetheless.
  const Tags = [{ Key: "Owner", Value: "ops team" }]
  await l.client.send(new AddTagsToResourceCommand({ ResourceType: "Parameter", ResourceId: "/p12", Tags }))
  await machine.backup(machine.store)
  assert.deepEqual(fetched(), [])
  assert.equal((await attributesOf(machine)).get("p12")?.["ssm.tag.Owner"], "ops team")
  assert.equal((await machine.content(machine.store, "latest")).get("p12"), "v12")
})

test("what is throttled is tried again", async () => {
  await l.put({ Name: "/a", Value: "v" })
  const throttled = new Map<string, number>()
  l.tap.intercept = ({ action }) => {
    const times = throttled.get(action) ?? 0
    throttled.set(action, times + 1)
    return times < 1 ? { status: 400, code: "ThrottlingException" } : null
  }
  const machine = await makeMachine(source())
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  assert.deepEqual(
    [...throttled],
    [
      ["DescribeParameters", 2],
      ["ListTagsForResource", 2],
      ["GetParameters", 2],
    ],
  )
})

test("a parameter that goes between listing and reading is recorded, the version that was listed is what is kept", async () => {
  await l.put({ Name: "/gone", Value: "v" })
  await l.put({ Name: "/moved", Value: "old" })
  const entries: SourceEntry[] = (await collect(source().entries(signal))).flat()
  await l.client.send(new DeleteParameterCommand({ Name: "/gone" }))
  await l.put({ Name: "/moved", Value: "new", Overwrite: true })
  const read = async (path: string): Promise<string> => {
    const content = entries.find((entry) => entry.path === path)?.content
    assert.ok(content?.kind === "stream")
    return Buffer.concat(await collect((await content.open(signal)).bytes)).toString()
  }
  await assert.rejects(read("gone"), { name: "EntryError", word: "ParameterNotFound" })
  assert.equal(await read("moved"), "old")
})

test("without the right to list, and with expired credentials, a run ends and nothing is committed", async () => {
  await l.put({ Name: "/a", Value: "v" })
  const machine = await makeMachine(source())
  for (const [status, code] of [
    [400, "AccessDeniedException"],
    [403, "AccessDenied"],
    [400, "ExpiredTokenException"],
  ] as const)
    for (const at of ["DescribeParameters", "ListTagsForResource"]) {
      l.tap.intercept = ({ action }) => (action === at ? { status, code } : null)
      await assert.rejects(
        machine.backup(machine.store),
        (error) => isFault(error, "refused") && error.hint !== undefined,
      )
    }
  l.tap.intercept = ({ action }) => (action === "GetParameters" ? { status: 400, code: "ExpiredTokenException" } : null)
  await assert.rejects(machine.backup(machine.store), (error) => isFault(error, "refused"))
  l.tap.intercept = () => null
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
})

// Values of SecureStrings are nowhere but in memory and in sealed objects: watched while a run and a restore are under way,
// with gpg, are the arguments and environments of all processes, events, errors, and every object of the archive.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { env } from "node:process"
import { test } from "node:test"
import { inspect } from "node:util"
import { DeleteParameterCommand } from "@aws-sdk/client-ssm"
import { makeMachine } from "../../backup/test/machine.ts"
import { gpgDoors } from "../../openpgp/test/doors.ts"
import { observing, type Store } from "../../store/src/index.ts"
import { get } from "../../store/test/helpers.ts"
import { signal } from "../../trust/test/archive.ts"
import { ssmSource } from "../src/index.ts"
import { lab, restoreLatest } from "./world.ts"

const l = lab()

/** Where the arguments or the environment of some process hold the text. */
function processesWith(text: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((pid) => ["cmdline", "environ"].map((what) => `/proc/${pid}/${what}`))
    .filter((file) => {
      try {
        return readFileSync(file, "latin1").includes(text)
      } catch {
        return false // it ended meanwhile
      }
    })
}

/** Names of the objects of an archive that hold the text. */
async function objectsWith(store: Store, text: string): Promise<string[]> {
  const found: string[] = []
  for await (const { name } of store.list("", signal)) if ((await get(store, name)).includes(text)) found.push(name)
  return found
}

test("the values are in no process's arguments or environment, no event, no error and no object", async () => {
  await using doors = await gpgDoors()
  // Split, so that this file, and the command line that runs it, do not hold it.
  const secret = ["hunter", "two", "-", "a".repeat(40)].join("")
  const put = (Name: string): Promise<void> =>
    l.put({ Name, Value: `${secret} of ${Name}`, Type: "SecureString", Description: "public words" })
  for (const name of ["/a", "/b/c", "/b/d"]) await put(name)
  const found: string[] = []
  let looked = 0
  const look = (): void => {
    looked++
    found.push(...processesWith(secret))
  }
  const said: unknown[] = []
  l.tap.intercept = () => {
    look()
    return null
  }
  const machine = await makeMachine(ssmSource({ ...l.access, path: "/" }))
  const watched = observing(machine.store, look)
  const { sealer, passphraseOpener: opener } = doors
  const onEvent = (event: unknown): void => {
    said.push(event)
    look()
  }
  assert.equal((await machine.backup(watched, { sealer, opener, onEvent })).outcome, "complete")
  said.push(await machine.receipt(machine.store, "latest"))
  const content = await machine.content(machine.store, "latest")
  assert.ok(
    [...content.values()].every((value) => value.startsWith(secret)),
    "it was backed up, or this shows nothing",
  )

  await l.client.send(new DeleteParameterCommand({ Name: "/a" }))
  await l.put({ Name: "/b/c", Value: `${secret} changed`, Type: "SecureString", Overwrite: true })
  said.push(await restoreLatest(machine, l.access))
  // What AWS answers quotes the value it refuses; what cannot be parsed is quoted by who parses it.
  for (const [at, answer] of [
    ["PutParameter", { status: 400, code: "ValidationException", message: `Value '${secret}' at 'value' is wrong` }],
    ["PutParameter", { status: 400, code: "AccessDeniedException", message: `no ${secret}` }],
    ["GetParameter", { status: 500, code: "InternalServerError", message: `no ${secret}` }],
    ["GetParameter", { status: 200, code: "", raw: `{"Parameter": {"Value": ${secret}` }],
    ["GetParameter", { status: 500, code: "", raw: secret }],
  ] as const) {
    l.tap.intercept = ({ action }) => (action === at ? answer : null)
    said.push(await restoreLatest(machine, { ...l.access, overwrite: true }).catch((error: unknown) => error))
  }
  l.tap.intercept = ({ action }) => (action === "GetParameters" ? { status: 500, code: "x", message: secret } : null)
  await put("/new")
  said.push(await machine.backup(machine.store).catch((error: unknown) => error))

  assert.ok(looked > 20, `looked only ${looked} times`)
  assert.ok(said.length > 8)
  assert.deepEqual(found, [])
  assert.ok(
    !inspect(said, { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null }).includes(secret),
  )
  assert.deepEqual(await objectsWith(machine.store, secret), [])
  assert.ok(!JSON.stringify(env).includes(secret))

  // The same search finds what is there.
  assert.ok(
    (await objectsWith(machine.store, "partial")).length + (await objectsWith(machine.store, "complete")).length > 0,
  )
  assert.ok(inspect(said, { depth: 20 }).includes("/b/c"))
  for (const [args, more] of [
    [[secret], {}],
    [[], { WORD: secret }],
  ] as const) {
    const child = spawn("sh", ["-c", "echo; read x", "sh", ...args], { env: { ...env, ...more } })
    await once(child.stdout, "data")
    assert.deepEqual(processesWith(secret), [`/proc/${child.pid}/${args.length > 0 ? "cmdline" : "environ"}`])
    child.stdin.end()
    await once(child, "close")
  }
})

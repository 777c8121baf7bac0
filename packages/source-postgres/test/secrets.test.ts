// Where a password could be seen: the process table with its environments, what programs say, events, errors, receipts, the
// folder in memory. It is looked for all the while that a backup and a restore go on.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { makeMachine } from "../../backup/test/machine.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { postgresSource, restoreDatabases } from "../src/index.ts"
import { passwordFile } from "../src/password.ts"
import { filesOf, restoring } from "./archive.ts"
import { Cluster, PASSWORD } from "./cluster.ts"
import { makeSample, ROLES } from "./sample.ts"

/** As it stands in a file for libpq, too. */
const forms = [PASSWORD, PASSWORD.replace(/[\\:]/g, "\\$&")].map((text) => Buffer.from(text))
const memory = `/dev/shm/bc-test-${process.pid}`
let cluster: Cluster

before(async () => {
  mkdirSync(memory, { mode: 0o700 })
  cluster = await Cluster.start()
  cluster.backupRole()
  cluster.role("restorer", "superuser")
  cluster.sql("postgres", ROLES)
  makeSample(cluster, "app")
})
after(async () => {
  await cluster.close()
  rmSync(memory, { recursive: true })
})

/** Of a process arguments and environment stay as they are once its program has begun, which is soon. */
const MOST_LOOKS = 5

/** Looks through the process table again and again. */
class Watch {
  /** Where it was seen. */
  readonly found = new Set<string>()
  /** Programs of PostgreSQL that were there to be looked at. */
  readonly programs = new Set<string>()
  readonly #looks = new Map<string, number>()
  readonly #stop = new AbortController()
  readonly #done: Promise<void>

  constructor() {
    this.#done = this.#run()
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (const pid of readdirSync("/proc")) if (/^[0-9]+$/.test(pid)) this.#look(pid)
      for (const name of readdirSync(memory, { recursive: true, encoding: "utf8" }))
        this.#read(join(memory, name), name)
      await sleep(2)
    }
  }

  #look(pid: string): void {
    const looks = this.#looks.get(pid) ?? 0
    if (looks === MOST_LOOKS) return
    this.#looks.set(pid, looks + 1)
    const [command] = ["cmdline", "environ"].map((part) => this.#read(`/proc/${pid}/${part}`, `${part} of ${pid}`))
    const [program = ""] = command?.toString().split("\0") ?? []
    if (/^pg_|^psql$/.test(program)) this.programs.add(program)
  }

  #read(path: string, what: string): Buffer | null {
    try {
      const bytes = readFileSync(path)
      if (forms.some((form) => bytes.includes(form))) this.found.add(what)
      return bytes
    } catch {
      // It ended meanwhile, or is a folder.
      return null
    }
  }

  async end(): Promise<void> {
    this.#stop.abort()
    await this.#done
  }
}

test("a watch finds a password in arguments and in an environment", async () => {
  const watch = new Watch()
  const children = [
    spawn("sleep", ["100"], { env: { PGPASSWORD: PASSWORD, PATH: process.env["PATH"] } }),
    spawn(process.execPath, ["-e", "setTimeout(() => undefined, 100_000)", PASSWORD]),
  ]
  const deadline = Date.now() + 30_000
  while (watch.found.size < 2 && Date.now() < deadline) await sleep(5)
  await watch.end()
  for (const child of children) {
    const ended = once(child, "exit")
    child.kill("SIGKILL")
    await ended
  }
  assert.deepEqual(
    [...watch.found]
      .map((what) => what.split(" ")[0])
      .toSorted()
      .slice(-2),
    ["cmdline", "environ"],
  )
})

test("nowhere while a backup and a restore go on, nor in what comes of them", async () => {
  const said: string[] = []
  const onLine = (name: string, line: string): unknown => said.push(`${name}: ${line}`)
  const access = { ...cluster.access("/app"), onLine, memory }
  const watch = new Watch()
  const machine = await makeMachine(postgresSource({ ...access, now: () => new Date(0) }))
  const onEvent = (event: unknown): unknown => said.push(JSON.stringify(event))
  assert.equal((await machine.backup(machine.store, { onEvent })).outcome, "complete")
  const wanted = (path: string): boolean => path !== "globals.sql"
  const { options } = restoring(cluster, "/copy", { onLine, onEvent, memory })
  await restoreDatabases(filesOf(machine, "latest", wanted), options, signal)
  for (const url of [cluster.url("/absent"), cluster.url("/app", "nobody")]) {
    const source = postgresSource({ ...access, url, now: () => new Date(0) })
    said.push(
      await collect(source.entries(signal)).then(
        () => "",
        (error: unknown) => JSON.stringify([String(error), error]),
      ),
    )
  }
  await watch.end()
  assert.deepEqual([...watch.found], [])
  assert.deepEqual([...watch.programs].toSorted(), ["pg_dump", "pg_dumpall", "pg_isready", "psql"])
  assert.equal(readdirSync(memory).length, 0)
  for (const line of said) assert.ok(!forms.some((form) => line.includes(form.toString())), line)
  for await (const { name } of machine.store.list("", signal)) {
    const bytes = Buffer.concat(await collect(machine.store.read(name, signal)))
    assert.ok(!forms.some((form) => bytes.includes(form)), name)
  }
  for (const [path, text] of await machine.content(machine.store, "latest"))
    assert.ok(!forms.some((form) => Buffer.from(text, "latin1").includes(form)), path)
})

test("the file that has the password has no name any more, and can be read as often as it is opened", async () => {
  await using handle = await passwordFile(PASSWORD, memory)
  assert.deepEqual(readdirSync(memory), [])
  for (let i = 0; i < 2; i++) assert.ok(readFileSync(`/proc/self/fd/${handle.fd}`).includes(forms[1]!))
  assert.equal((await handle.stat()).mode & 0o777, 0o600)
})

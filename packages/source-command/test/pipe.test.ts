// Restored streams into commands: what was backed up goes in, and a consumer never sees the end of what is not whole.

import assert from "node:assert/strict"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { kill } from "node:process"
import { after, test } from "node:test"
import { BackupError, type CatalogueEntry, isFault } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { catalogueEntries, fileContent, openRoot } from "../../restore/src/index.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { type Kill, pipeInto } from "../src/index.ts"
import { haveEnded, running, sh, sourceOf } from "./helpers.ts"

const folder = mkdtempSync(join(tmpdir(), "bc-pipe-"))
after(() => {
  rmSync(folder, { recursive: true })
})

/** Gives a command time to act on the end of its input, if its input was closed before it is killed. */
const slowKill: Kill = (pid, sig) => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  return kill(pid, sig)
}

/** Takes effect only if it sees the end of its input. */
const load = (file: string): string[] => ["sh", "-c", `cat > '${file}.part'; mv '${file}.part' '${file}'`]

test("streams of a run go into a command each, and one whose digest does not match never takes effect", async () => {
  const big = "0123456789abcdef".repeat(200_000)
  const machine = await makeMachine(
    sourceOf([sh("big", `yes 0123456789abcdef | tr -d '\\n' | head -c ${big.length}`), sh("small", "echo x")]),
  )
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  const view = await machine.view(machine.store, "latest")
  const entries = await collect(catalogueEntries(view, await openRoot(view, signal), signal))
  const into = async (entry: CatalogueEntry, file: string): Promise<void> => {
    const options = { ...running, kill: slowKill, name: entry.path, command: load(file) }
    await pipeInto(fileContent(view, entry, signal), options, signal)
  }
  const [large, small] = ["big", "small"].map((path) => entries.find((entry) => entry.path === path)!)
  await into(small!, join(folder, "small"))
  assert.equal(readFileSync(join(folder, "small"), "utf8"), "x\n")
  const file = join(folder, "big")
  const wrong = { ...large!, sha256: "0".repeat(64) }
  await assert.rejects(into(wrong, file), (error) => isFault(error, "tampered"))
  assert.ok(existsSync(`${file}.part`), "it was under way, or this shows nothing")
  assert.ok(!existsSync(file))
  await into(large!, file)
  assert.equal(readFileSync(file, "latin1"), big)
})

async function* pieces(...texts: (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) {
    if (text instanceof Error) throw text
    yield Buffer.from(text)
  }
}

test("what content throws comes out as it is, and everything the command started is gone", async () => {
  const mark = join(folder, "pids")
  // A trap does not help: nothing of the group outlives the failure to see the end of the input.
  const script = `trap '' TERM; sleep 1000 & echo $! $$ > '${mark}'; cat > /dev/null; touch '${mark}-end'`
  const broken = new BackupError("tampered", "broken")
  const slow = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from("x")
    while (!existsSync(mark) || readFileSync(mark, "utf8") === "")
      await new Promise((resolve) => setTimeout(resolve, 5))
    throw broken
  }
  const options = { ...running, name: "a", command: ["sh", "-c", script] }
  await assert.rejects(pipeInto(slow(), options, signal), (error) => error === broken)
  await haveEnded(readFileSync(mark, "utf8").trim().split(" "))
  assert.ok(!existsSync(`${mark}-end`))
})

test("a consumer that fails, stops early or cannot be started makes the restore incomplete", async () => {
  const failure = async (command: readonly string[], ...texts: string[]): Promise<string> => {
    const error = await pipeInto(pieces(...texts), { ...running, name: "a", command }, signal).catch((e: unknown) => e)
    assert.ok(isFault(error, "incomplete"), String(error))
    return error.message
  }
  const much = "x".repeat(1_000_000)
  assert.match(await failure(["sh", "-c", "cat > /dev/null; echo no >&2; exit 4"], "x"), /exit status 4;.*it said: no$/)
  assert.match(await failure(["sh", "-c", "exit 4"], much), /exit status 4/)
  assert.match(await failure(["true"], much, much), /ended before it had read everything/)
  assert.match(await failure(["no-such-program-here"], much), /cannot be started/)
  await pipeInto(pieces(much, much), { ...running, name: "a", command: ["sh", "-c", "cat > /dev/null"] }, signal)
})

test("an abort kills the consumer", async () => {
  const file = join(folder, "aborted")
  const abort = new AbortController()
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (let i = 0; ; i++) {
      yield Buffer.from("x")
      if (i === 10) abort.abort(new Error("enough"))
    }
  }
  const options = { ...running, kill: slowKill, name: "a", command: load(file) }
  await assert.rejects(pipeInto(endless(), options, abort.signal), /^Error: enough$/)
  assert.ok(!existsSync(file))
})

test("{name} alone becomes the name; within a script it does not, and an option it cannot be", async () => {
  const file = join(folder, "named")
  const run = async (name: string, command: readonly string[]): Promise<string> => {
    await pipeInto(pieces("x"), { ...running, name, command }, signal)
    return readFileSync(file, "utf8")
  }
  const script = `cat > /dev/null; printf '%s' "$1" > '${file}'`
  assert.equal(await run("db/$(touch x).sql", ["sh", "-c", script, "sh", "{name}"]), "db/$(touch x).sql")
  assert.equal(await run("a", ["sh", "-c", script, "sh", "{name}.sql"]), "{name}.sql")
  await assert.rejects(run("-rf", ["sh", "-c", script, "sh", "{name}"]), (error) => isFault(error, "refused"))
  assert.equal(await run("-rf", ["sh", "-c", script, "sh", "x"]), "x")
})

test("what the consumer says comes line by line", async () => {
  const lines: string[] = []
  const command = ["sh", "-c", "cat; echo problem >&2"]
  await pipeInto(
    pieces("a\n", "b"),
    { ...running, onLine: (n, line) => lines.push(`${n}: ${line}`), name: "s", command },
    signal,
  )
  assert.deepEqual(lines.toSorted(), ["s: a", "s: b", "s: problem"])
})

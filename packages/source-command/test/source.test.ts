// Commands as a source: the contract of all sources in whole runs, and what is special of processes, with real ones.

import assert from "node:assert/strict"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs"
import fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { sourceContract } from "../../backup/test/source-contract.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { haveEnded, isRunning, open, rest, sh, sourceOf } from "./helpers.ts"

const folder = mkdtempSync(join(tmpdir(), "bc-command-"))
after(() => {
  rmSync(folder, { recursive: true })
})
let worlds = 0

sourceContract("command", { broken: "failed", loses: false }, async () => {
  const content = new Map<string, string>()
  const world = ++worlds
  const file = (name: string): string => join(folder, `${world}-${name.replaceAll("/", "_")}`)
  const put = (name: string, text: string): void => {
    writeFileSync(file(name), text, "latin1")
    content.set(name, text)
  }
  put("dump.sql", "create table a;\n".repeat(30_000))
  put("db/users.sql", "\0\xff\n")
  put("db-empty", "")
  const broken = join(folder, `${world}-broken`)
  // What there is is read whole before the status says that it does not count.
  const script = (name: string): string => `cat '${file(name)}'; if test -e '${broken}'; then echo lost >&2; exit 3; fi`
  return {
    source: sourceOf([...content.keys()].map((name) => sh(name, script(name)))),
    content: () => content,
    attributes: () => ({}),
    change: async () => {
      put("dump.sql", `${content.get("dump.sql") ?? ""}insert;\n`)
      return "dump.sql"
    },
    breakOff: async () => {
      writeFileSync(broken, "")
      return async () => {
        unlinkSync(broken)
      }
    },
  }
})

test("streams are listed as files of unknown size in catalogue order, below their folders", async () => {
  const streams = ["b.sql", "a/c/d", "a-b", "a/b"].map((name) => sh(name, "true"))
  const [entries = []] = await collect(sourceOf(streams).entries(signal))
  assert.deepEqual(
    entries.map(({ type, path, mode, size }) => [type, path, mode, size]),
    [
      ["d", ".", 0o700, 0],
      ["d", "a", 0o700, 0],
      ["f", "a/b", 0o600, null],
      ["d", "a/c", 0o700, 0],
      ["f", "a/c/d", 0o600, null],
      ["f", "a-b", 0o600, null],
      ["f", "b.sql", 0o600, null],
    ],
  )
  assert.deepEqual([...new Set(entries.map((entry) => entry.mtime))], ["1795507200.000000000"])
})

test("names that are no paths, twice there or below one another, and empty commands are usage errors", () => {
  for (const names of [["/a"], ["a//b"], ["../a"], ["."], [""], ["a", "a"], ["a", "a/b"]])
    assert.throws(
      () => sourceOf(names.map((name) => sh(name, "true"))),
      (error) => isFault(error, "usage"),
      names.join(),
    )
  assert.throws(
    () => sourceOf([{ name: "a", command: [] }]),
    (error) => isFault(error, "usage"),
  )
  sourceOf([sh("a/a", "true"), sh("a/b", "true")])
})

test("a command gets exactly the variables and the folder it is given", async () => {
  const stream = {
    ...sh("a", 'pwd; echo "$WORD"; env | grep -c ^HOME= || :'),
    env: { WORD: "x", PATH: "/usr/bin:/bin" },
  }
  assert.equal(await rest(await open([{ ...stream, cwd: folder }], "a", signal)), `${folder}\nx\n0\n`)
  assert.equal(await rest(await open([sh("a", "env | grep -c ^PATH=")], "a", signal)), "1\n")
})

test("a command gets the open files that it is given, which have no name any more, and no others", async () => {
  const file = join(folder, "gone")
  writeFileSync(file, "kept open")
  await using handle = await fs.open(file)
  unlinkSync(file)
  const reads = sh("a", "cat /dev/fd/3; cat /dev/fd/3; test -e /dev/fd/4 || echo .")
  assert.equal(await rest(await open([{ ...reads, fds: [handle.fd] }], "a", signal)), "kept openkept open.\n")
  const without = await rest(await open([sh("a", "test -e /dev/fd/3 || echo none")], "a", signal))
  assert.equal(without, "none\n")
})

test("the status counts after the last byte, and the error tells the stream, the status and the last lines", async () => {
  const lines: string[] = []
  const script = "printf whole; for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; printf '\\033[31mred' >&2; exit 3"
  const bytes = await open([sh("dump.sql", script)], "dump.sql", signal, {
    onLine: (name, line) => lines.push(`${name}: ${line}`),
  })
  assert.equal(Buffer.from((await bytes.next()).value as Uint8Array).toString(), "whole")
  await assert.rejects(bytes.next(), (error) => {
    assert.ok(isFault(error, "incomplete"))
    assert.match(error.message, /^dump\.sql: sh ended with exit status 3; /)
    assert.match(error.message, /it said: line 4 \| line 5 \| line 6 \| line 7 \| \\u\{1b\}\[31mred$/)
    assert.doesNotMatch(error.message, /printf|exit 3/, "arguments are not told")
    return true
  })
  assert.deepEqual([lines.length, lines[0], lines[7]], [8, "dump.sql: line 1", "dump.sql: \\u{1b}[31mred"])
})

test("a signal and a command that cannot be started break off; the same succeeds where neither is", async () => {
  const failure = async (stream: Parameters<typeof open>[0][number]): Promise<string> => {
    const error = await rest(await open([stream], stream.name, signal)).catch((e: unknown) => e)
    assert.ok(isFault(error, "incomplete"), String(error))
    assert.ok(error.hint !== undefined)
    return error.message
  }
  assert.match(await failure(sh("a", "echo x; kill -9 $$")), /^a: sh ended with signal SIGKILL; /)
  assert.match(await failure({ name: "a", command: ["no-such-program-here"] }), /cannot be started \(ENOENT\)/)
  assert.match(await failure({ ...sh("a", "true"), cwd: join(folder, "nowhere") }), /cannot be started \(ENOENT\)/)
  assert.equal(await rest(await open([{ ...sh("a", "echo x"), cwd: folder }], "a", signal)), "x\n")
})

test("a command starts when its first bytes are wanted, after the one before has ended", async () => {
  const log = join(folder, "log")
  const streams = ["a", "b", "c"].map((name) =>
    sh(name, `echo +${name} >> '${log}'; echo x; echo -${name} >> '${log}'`),
  )
  const bytes = await open(streams, "a", signal)
  assert.ok(!existsSync(log), "opening starts nothing")
  await rest(bytes)
  unlinkSync(log)
  const machine = await makeMachine(sourceOf(streams))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  assert.equal(readFileSync(log, "utf8"), "+a\n-a\n+b\n-b\n+c\n-c\n")
})

test("a reader that stops, and an abort, end the command and what it started", async () => {
  const script = "sleep 1000 & echo $! $$; sleep 1000"
  const pids = async (bytes: AsyncIterator<Uint8Array>): Promise<string[]> => {
    const text = Buffer.from((await bytes.next()).value as Uint8Array).toString()
    const found = text.trim().split(" ")
    assert.deepEqual(found.map(isRunning), [true, true], text)
    return found
  }
  const stopped = await open([sh("a", script)], "a", signal)
  const first = await pids(stopped)
  await stopped.return?.()
  await haveEnded(first)

  const abort = new AbortController()
  const aborted = await open([sh("a", script)], "a", abort.signal)
  const second = await pids(aborted)
  const next = aborted.next()
  abort.abort(new Error("enough"))
  await assert.rejects(next, /^Error: enough$/)
  await haveEnded(second)
})

test("what does not end by SIGTERM is killed after the grace; what ends by it may still tidy up", async () => {
  const mark = join(folder, "tidied")
  const tidy = await open(
    [sh("a", `trap 'touch "${mark}"; exit 1' TERM; echo x; while :; do sleep 0.01; done`)],
    "a",
    signal,
  )
  await tidy.next()
  await tidy.return?.()
  assert.ok(existsSync(mark))
  const deaf = await open([sh("a", "trap '' TERM; echo $$; while :; do sleep 0.01; done")], "a", signal, { grace: 50 })
  const pid = Buffer.from((await deaf.next()).value as Uint8Array)
    .toString()
    .trim()
  await deaf.return?.()
  await haveEnded([pid])
})

test("a command that is not read is not ahead by more than its pipe holds", async () => {
  const mark = join(folder, "sizes")
  // Each block is counted once the pipe took it.
  const script = `i=0; while test $i -lt 400; do head -c 65536 /dev/zero || exit 1; i=$((i+1)); echo >> '${mark}'; done`
  const bytes = await open([sh("a", script)], "a", signal)
  await bytes.next()
  let before = -1
  while (before !== statSync(mark, { throwIfNoEntry: false })?.size) {
    before = statSync(mark, { throwIfNoEntry: false })?.size ?? 0
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  assert.ok(before < 16, `${before} blocks of 64 KiB were taken though nobody read`)
  assert.equal((await rest(bytes)).length + 65_536 >= 400 * 65_536, true)
})

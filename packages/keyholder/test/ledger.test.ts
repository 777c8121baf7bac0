import assert from "node:assert/strict"
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { LedgerRecord } from "../src/ledger.ts"
import { openLedger } from "../src/ledger.ts"
import { recall } from "../src/memory.ts"

const record = (change: Partial<LedgerRecord> = {}): LedgerRecord => ({
  time: "2026-11-24T12:00:00Z",
  decision: "approve",
  archive: "a".repeat(32),
  request: "b".repeat(32),
  operator: "C".repeat(40),
  source: "files",
  run: "20261122T221500Z-11111111",
  kind: "run",
  reason: 'a "reason", with {"hash":"x"} in it',
  secrets: 1,
  policy: { number: 1, sha256: "d".repeat(64) },
  erasures: 0,
  seen: [],
  ...change,
})

async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "kh-ledger-"))
  try {
    await work(join(folder, "home", "ledger.jsonl"))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test("lines are kept, one each, and read back as they were", () =>
  inFolder(async (path) => {
    const ledger = await openLedger(path)
    assert.deepEqual(ledger.entries, [])
    await ledger.append(record())
    await ledger.append(record({ decision: "deny", request: "e".repeat(32) }))
    const again = await openLedger(path)
    assert.deepEqual(again.entries, ledger.entries)
    assert.equal(readFileSync(path, "utf8").trimEnd().split("\n").length, 2)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    await again.append(record({ request: "f".repeat(32) }))
    assert.equal((await openLedger(path)).entries.length, 3)
  }))

test("a ledger that was changed is not opened, wherever it was changed, and is once it is as before", () =>
  inFolder(async (path) => {
    const ledger = await openLedger(path)
    for (const id of ["1", "2", "3"]) await ledger.append(record({ request: id.repeat(32) }))
    const good = readFileSync(path, "utf8")
    const [one = "", two = "", three = ""] = good.split("\n")
    const bad: [string, string][] = [
      ["a letter in the first line", good.replace("approve", "approvE")],
      ["a letter in the last line", [one, two, three.replace("files", "filed"), ""].join("\n")],
      ["a line removed from the middle", [one, three, ""].join("\n")],
      ["the first line removed", [two, three, ""].join("\n")],
      ["two lines swapped", [two, one, three, ""].join("\n")],
      ["a line twice", [one, two, two, three, ""].join("\n")],
      ["the last line not whole", good.slice(0, -10)],
      ["the last line end missing", good.slice(0, -1)],
      ["an empty line", `${one}\n\n${two}\n${three}\n`],
      ["CRLF", good.replaceAll("\n", "\r\n")],
      ["text after it", `${good}hello\n`],
    ]
    for (const [label, text] of bad) {
      writeFileSync(path, text)
      await assert.rejects(openLedger(path), { fault: "tampered" }, label)
    }
    writeFileSync(path, good)
    assert.equal((await openLedger(path)).entries.length, 3)
  }))

test("two processes don't both write: the second is told, and nothing of it is kept", () =>
  inFolder(async (path) => {
    const one = await openLedger(path)
    const two = await openLedger(path)
    await one.append(record())
    await assert.rejects(two.append(record({ request: "9".repeat(32) })), { fault: "conflict" })
    assert.equal((await openLedger(path)).entries.length, 1)
    const after = await openLedger(path)
    await after.append(record({ request: "9".repeat(32) }))
    assert.equal((await openLedger(path)).entries.length, 2)
  }))

test("a lock that is held keeps the ledger from being written, until it is gone", () =>
  inFolder(async (path) => {
    const ledger = await openLedger(path)
    await ledger.append(record())
    appendFileSync(`${path}.lock`, "")
    await assert.rejects(ledger.append(record({ request: "9".repeat(32) })), { fault: "conflict" })
    rmSync(`${path}.lock`)
    await ledger.append(record({ request: "9".repeat(32) }))
    assert.equal((await openLedger(path)).entries.length, 2)
  }))

test("the ledger remembers the highest of what is proved, of one archive", () =>
  inFolder(async (path) => {
    const ledger = await openLedger(path)
    const seen = (number: number, sums: string) => [{ source: "files", run: "r", number, sums }]
    await ledger.append(record({ policy: { number: 3, sha256: "3" }, erasures: 2, seen: seen(2, "two") }))
    await ledger.append(record({ policy: { number: 2, sha256: "2" }, erasures: 1, seen: seen(1, "one") }))
    await ledger.append(record({ archive: "0".repeat(32), policy: { number: 9, sha256: "9" }, erasures: 9 }))
    assert.deepEqual(recall(ledger, "a".repeat(32)), {
      policy: { number: 3, sha256: "3" },
      erasures: 0,
      seen: seen(2, "two"),
    })
  }))

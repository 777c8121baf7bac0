// The archive for servers runs where there is nothing: no Node.js, no checkout; and it is the same each time.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { release } from "./release.ts"

const place = mkdtempSync(join(tmpdir(), "release-"))
after(() => {
  rmSync(place, { recursive: true })
})

test("what was unpacked backs up without anything else, and the same bytes are made again", () => {
  const file = join(place, "release.tar.gz")
  const sha256 = release(file)
  assert.equal(createHash("sha256").update(readFileSync(file)).digest("hex"), sha256)
  const program = join(place, "program")
  mkdirSync(program)
  execFileSync("tar", ["-xzf", file, "-C", program])
  const run = (...args: string[]): string =>
    execFileSync(join(program, "backup-cloud"), args, { cwd: "/", env: { PATH: "/usr/bin:/bin" }, encoding: "utf8" })
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../packages/cli/package.json"), "utf8")) as {
    version: string
  }
  assert.equal(run("--version").trim(), version)
  // It loads the sources and the store of AWS.
  assert.match(run("source", "add", "--help"), /--certificate/)
  assert.equal(release(join(place, "again.tar.gz")), sha256)
})

// The demonstration is the whole journey, so it is a test too: it ends with a comparison and fails if anything differs.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"

test("the demonstration backs up, verifies, releases, restores and compares", () => {
  const data = mkdtempSync(join(tmpdir(), "bc-data-"))
  try {
    mkdirSync(join(data, "empty"))
    for (const name of ["plain", "with space", "émoji 🙂", "new\nline"])
      writeFileSync(join(data, name), name.repeat(9_000))
    const demo = spawnSync(process.execPath, [join(import.meta.dirname, "demo.ts"), data], { encoding: "utf8" })
    assert.equal(demo.status, 0, demo.stdout + demo.stderr)
    assert.match(demo.stdout, /^equal\. [0-9]+ seconds\.$/m)
    assert.match(demo.stdout, /Restored 4 files/)
  } finally {
    rmSync(data, { recursive: true })
  }
})

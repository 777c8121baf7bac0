// No space left where what is sealed waits for the store: the fault names the object, and says that it was not stored.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { BackupError } from "@backup-cloud/format"
import { openGpgHome } from "@backup-cloud/openpgp"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgSealer } from "@backup-cloud/openpgp/seal"
import { dirSource } from "../../source-dir/src/index.ts"
import type { BackupOptions } from "../src/index.ts"
import { type Machine, makeMachine } from "./machine.ts"

const folder = mkdtempSync(join(tmpdir(), "bc-spool-"))
const data = join(folder, "data")
const disk = join(folder, "disk")
let machine: Machine

before(async () => {
  mkdirSync(data)
  machine = await makeMachine(dirSource({ root: data }))
  mkdirSync(disk)
  mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", disk)
})
after(() => {
  spawnSync("umount", [disk])
  rmSync(folder, { recursive: true })
})

function mount(...args: readonly string[]): void {
  const { status, stderr } = spawnSync("mount", args, { encoding: "utf8" })
  assert.equal(status, 0, `this test needs the right to mount a small file system, as root has it: ${stderr}`)
}

async function backupThere(options: Partial<BackupOptions>): Promise<string> {
  const before = tmpdir()
  process.env["TMPDIR"] = disk
  try {
    return (await machine.backup(machine.store, options)).outcome
  } finally {
    process.env["TMPDIR"] = before
  }
}

/** The fault of a backup whose spools do not fit, with a door of this kind; it succeeds once they do. */
async function isTold(options: Partial<BackupOptions>): Promise<void> {
  writeFileSync(join(data, "file"), randomBytes(3_000_000))
  await assert.rejects(backupThere(options), (error) => {
    assert.ok(error instanceof BackupError, String(error))
    assert.equal(error.fault, "unavailable")
    assert.match(error.message, /^backup\/docs\/\S+\/volume-00000001\.tar\.zst\.gpg: .*; run \S+ was not committed$/)
    assert.match(error.hint ?? "", /space/)
    return true
  })
  mount("-o", "remount,size=20m", disk)
  assert.equal(await backupThere(options), "complete")
  mount("-o", "remount,size=1m", disk)
}

test("sealed by gpg", async () => {
  await using home = await openGpgHome()
  await isTold({ sealer: gpgSealer(home), opener: gpgPassphraseOpener(home) })
})

test("sealed by OpenPGP.js", async () => {
  await isTold({})
})

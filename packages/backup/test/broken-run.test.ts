// A run that ends with an error leaves nothing behind: no program that waits for more, no spool, no commit.

import assert from "node:assert/strict"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { BackupError, type Source, type SourceEntry } from "@backup-cloud/format"
import { openGpgHome } from "@backup-cloud/openpgp"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgSealer, jsSealer } from "@backup-cloud/openpgp/seal"
import { directoryStore } from "@backup-cloud/store"
import { noise } from "../../store/test/helpers.ts"
import { copyTo, makeMachine } from "./machine.ts"

const plain = { mode: 0o600, uid: 0, gid: 0, mtime: "0.000000000", link: null, attributes: new Map<string, string>() }

/** Gives enough for a volume to be open, and then cannot be reached any more. */
const breaking: Source = {
  kind: "test",
  identity: [],
  async *entries() {
    const content: SourceEntry["content"] = {
      kind: "stream",
      open: async () => ({ attributes: new Map(), bytes: bytes() }),
    }
    yield [
      { ...plain, type: "d", path: ".", size: 0, content: null },
      { ...plain, type: "f", path: "file", size: null, content },
    ]
  },
}

async function* bytes(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 12; i++) yield noise(2_000_000 + i)
  throw new BackupError("unavailable", "the server is gone")
}

/** Programs that this process started and that still run. */
function children(): string[] {
  const pids = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim()
  return pids === "" ? [] : pids.split(" ").map((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").trim())
}

for (const door of ["gpg", "OpenPGP.js"])
  test(`sealed by ${door}`, { timeout: 60_000 }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "bc-broken-"))
    t.after(() => {
      rmSync(folder, { recursive: true })
    })
    await using home = await openGpgHome()
    const machine = await makeMachine(breaking)
    const store = directoryStore(folder)
    await copyTo(machine.store, store)
    const doors =
      door === "gpg" ? { sealer: gpgSealer(home), opener: gpgPassphraseOpener(home) } : { sealer: jsSealer() }
    await assert.rejects(machine.backup(store, doors), { fault: "unavailable", message: /^the server is gone; run/ })
    assert.deepEqual(
      children().filter((name) => name === "gpg"),
      [],
    )
    assert.deepEqual(readdirSync(join(folder, ".incoming")), [])
    assert.deepEqual((await machine.runs(store)).runs, [])
  })

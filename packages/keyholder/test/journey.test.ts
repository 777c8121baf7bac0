// What the operator's tool asks is what this one answers, and what this one answers is what the operator's tool opens;
// here with OpenPGP.js on both sides and an archive in a directory.

import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { readRuns, selectRun } from "@backup-cloud/trust"
import { makeRequest, usedRuns } from "../../restore/src/index.ts"
import { makeWorld, NOW, SOURCE, signal, top } from "../../restore/test/make-run.ts"
import { approve, describeReview, openLedger, reviewRequest } from "../src/index.ts"

test("request, review, release, opened: a run that uses an earlier one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kh-journey-"))
  try {
    const world = await makeWorld(join(folder, "archive"))
    const content = Buffer.alloc(1000, "a")
    const one = await world.make({
      run: "20261122T221500Z-11111111",
      entries: [top, { type: "f", path: "kept", content }],
    })
    const two = await world.make({
      run: "20261123T221500Z-22222222",
      entries: [top, { type: "f", path: "kept", content }, { type: "f", path: "new", content: Buffer.from("new") }],
      uses: [one],
    })
    const trust = await world.load()
    const runs = await readRuns(trust, world.store, SOURCE, signal)
    const run = selectRun(runs, two.run)
    const ledger = await openLedger(join(folder, "ledger.jsonl"))
    const holder = world.holders[0]
    assert.ok(holder !== undefined)
    const ask = async (kind: "run" | "catalogue", id: number) =>
      await reviewRequest({
        request: await makeRequest({
          trust,
          reader: world.store,
          run,
          runs: usedRuns(run, runs.runs),
          ask: { kind },
          reason: "a drill",
          expires: new Date(NOW.getTime() + 3_600_000),
          operator: world.operator.signer,
          id: new Uint8Array(16).fill(id),
          now: NOW,
          signal,
        }),
        administrator: world.admin.certificate.fingerprint,
        ledger,
        verifier: world.verifier,
        now: NOW,
        signal,
      })
    const answer = async (kind: "run" | "catalogue", id: number) => {
      const review = await ask(kind, id)
      assert.match(describeReview(review).join("\n"), /a drill/)
      const opener = world.privateOpener(holder.name)
      const { release } = await approve({ review, opener, signer: holder.signer, ledger, now: NOW, signal })
      return await world.open(two, release)
    }
    const root = "root-0001.gpg"
    const volume = "volume-00000001.tar.zst.gpg"
    const all = world.secrets(one, two)

    const whole = await answer("run", 1)
    assert.equal(whole.passphraseFor(two.run, volume), all.passphraseFor(two.run, volume))
    assert.equal(whole.passphraseFor(one.run, volume), all.passphraseFor(one.run, volume))
    assert.equal(whole.passphraseFor(one.run, root), null)

    const names = await answer("catalogue", 2)
    assert.equal(names.passphraseFor(two.run, root), all.passphraseFor(two.run, root))
    assert.equal(names.passphraseFor(two.run, volume), null)
    assert.equal(ledger.entries.length, 2)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

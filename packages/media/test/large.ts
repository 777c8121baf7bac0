// Many runs of many small objects, as files, since a store would sync each; and a disk that has all of them.

import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { encodeSums, FORMAT, names, objectLine, receiptCodec } from "@backup-cloud/format"
import { type Disk, type KnownRun, makeStatement, publishStatement, runKey, writeMemory } from "../src/index.ts"
import { type MediaWorld, signal } from "./world.ts"

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Puts a chain of runs of `docs` into the archive, and lets the disk have them, but for the `fresh` last ones. */
export async function makeLarge(
  world: MediaWorld,
  disk: Disk,
  runs: number,
  objects: number,
  fresh: number,
): Promise<void> {
  const { archive, path } = world
  const trust = await archive.load()
  const source = archive.sources.get("docs")
  if (source === undefined) throw new Error("no source")
  const known: KnownRun[] = []
  let previous: string[] = []
  for (let at = 0; at < runs; at++) {
    const started = new Date(Date.UTC(2020, 0, 1, at))
    const run = `${started.toISOString().replace(/[-:]|\.[0-9]+/g, "")}-${at.toString(16).padStart(8, "0")}`
    const folder = join(path, names.runDirectory("docs", run))
    mkdirSync(folder, { recursive: true })
    const bodies = new Map<string, Buffer>()
    for (const base of [names.key, names.catalogue(1), names.root(1)]) bodies.set(base, Buffer.from(`${base} ${at}`))
    for (let n = 1; n <= objects - 3; n++) bodies.set(names.volume(n), Buffer.from(`${n} of ${at}`))
    const records = [...bodies].map(([name, body]) => ({ name, length: body.length, sha256: sha256(body) }))
    const time = started.toISOString().replace(".000", "")
    const receipt = receiptCodec.encode({
      ...{ format: FORMAT, type: "receipt", archive: trust.archive.archive, source: "docs", run, number: 1 },
      ...{
        policy: trust.policy.number,
        outcome: "complete",
        started: time,
        finished: time,
        kind: "dir",
        release: "any",
      },
      ...{ check: "0".repeat(64), recipients: [], previous, uses: [], entries: 1, bytes: 1, errors: [], handed: [] },
      objects: records.map(objectLine).sort(),
    })
    const sums = encodeSums(
      new Map([...records.map((r) => [r.name, r.sha256] as const), [names.receipt(1), sha256(receipt)]]),
    )
    for (const [base, body] of bodies) writeFileSync(join(folder, base), body)
    writeFileSync(join(folder, names.receipt(1)), receipt)
    writeFileSync(join(folder, names.sums(1)), sums)
    writeFileSync(join(folder, names.signature(1)), await source.signer.detached(sums, signal))
    previous = [`${run} ${sha256(sums)}`]
    known.push({
      ...{ source: "docs", run, number: 1, holding: "alone", volumes: `1-${objects - 3}`, catalogues: "1" },
      ...{ sums: sha256(sums), objects, bytes: records.reduce((sum, record) => sum + record.length, 0) },
    })
  }
  const here = known.slice(0, runs - fresh)
  const policy = { number: trust.policy.number, sha256: trust.policyDigest }
  await writeMemory(disk, { policy, runs: new Map(here.map((each) => [runKey(each), each])) })
  const { signer } = archive.operator
  const [, run = "", sums = ""] = /^(\S+) (\S+)$/.exec(previous[0] ?? "") ?? []
  const statement = makeStatement({
    ...{
      identity: disk.identity,
      action: "sync",
      operator: signer.fingerprint,
      now: world.now(),
      before: null,
      mates: [],
    },
    ...{ used: 0, free: 0, policy: policy.number, expiries: 0, erasures: 0, heads: [{ source: "docs", run, sums }] },
    ...{ runs: here, problems: 0 },
  })
  const second = { ...statement, number: 2 }
  await publishStatement(second, world.statement(), signer, [disk.store, archive.store], signal)
}

// What somebody can do who has stolen a source's home: make runs of their own that are signed as they should be, and
// change what a run holds and sign it again. For tests of what that does and does not give them.

import { spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type BackupResult, backup, startWorkers } from "@backup-cloud/backup"
import {
  compressFrame,
  derivedPassphrase,
  encodeSums,
  names,
  objectLine,
  padding,
  parseObjectLine,
  receiptCodec,
} from "@backup-cloud/format"
import { jsPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { jsSealer } from "@backup-cloud/openpgp/seal"
import { jsSigner } from "@backup-cloud/openpgp/sign"
import { jsVerifier } from "@backup-cloud/openpgp/verify"
import { dirSource } from "@backup-cloud/source-dir"
import { directoryStore } from "@backup-cloud/store"
import { loadTrust, memoryInMemory, readRuns } from "@backup-cloud/trust"
import type { World } from "./world.ts"

const signal = new AbortController().signal
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** The secret of a source, 32 bytes, from the home of whoever makes its backups. */
export function sourceSecret(world: World, who = "admin", source = "docs"): Uint8Array {
  const text = readFileSync(join(world.file(who), "backup-cloud/sources", source, "secret"), "utf8")
  return new Uint8Array(Buffer.from(text.trim(), "hex"))
}

/** The private key that signs the runs of the source `docs`, armoured. */
export const signingKey = (world: World): Uint8Array =>
  readFileSync(join(world.file("admin"), "backup-cloud/sources/docs/signing-key.asc"))

async function trustOf(world: World) {
  const admin = world.fingerprints.get("admin") ?? ""
  const reader = directoryStore(world.archive)
  const trust = await loadTrust({ reader, verifier: jsVerifier(), admin, home: memoryInMemory(), signal })
  const holders = trust.policy.holders.flatMap((holder) => trust.certificates.get(holder.sha256) ?? [])
  return { trust, reader, holders }
}

/** A run of `data` that commits a checkpoint after every batch of entries. */
export async function backupInSteps(world: World, data: string, key = signingKey(world)): Promise<BackupResult> {
  const { trust, reader, holders } = await trustOf(world)
  const [entry] = trust.policy.sources
  if (entry === undefined) throw new Error("the policy has no source")
  await using pool = startWorkers(1, sourceSecret(world))
  return await backup({
    source: dirSource({ root: data }),
    entry,
    policy: trust.policy,
    holders,
    earlier: () => readRuns(trust, reader, entry.name, signal),
    secret: sourceSecret(world),
    reader,
    writer: reader,
    sealer: jsSealer(),
    opener: jsPassphraseOpener(),
    signer: await jsSigner(key),
    proveAll: false,
    pool,
    checkpointEvery: 0,
    now: () => new Date(),
    random: (bytes) => new Uint8Array(randomBytes(bytes)),
    onEvent: () => undefined,
    stop: signal,
    signal,
  })
}

/** The plaintext of a sealed object; throws `tampered` if the passphrase does not open it. */
export async function open(file: string, passphrase: string): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  async function* message() {
    yield readFileSync(file)
  }
  for await (const piece of jsPassphraseOpener().open(message(), passphrase, signal))
    pieces.push(Uint8Array.from(piece))
  return Buffer.concat(pieces)
}

/** Changes the tar archive within the first volume of a run, seals it again as the run did, and signs it. */
export async function changeVolume(world: World, run: string, key: string, change: (tar: Buffer) => void) {
  const { holders } = await trustOf(world)
  const base = names.volume(1)
  const folder = join(world.archive, names.runDirectory("docs", run))
  const passphrase = derivedPassphrase(key, run, base)
  const packed = await open(folder + base, passphrase)
  const tar = spawnSync("zstd", ["-dc"], { input: packed, maxBuffer: 2 ** 30 }).stdout
  change(tar)
  const frame = await compressFrame(tar)
  async function* plain() {
    yield frame
    yield padding(frame.length)
  }
  const pieces: Uint8Array[] = []
  for await (const piece of jsSealer().seal(plain(), { certificates: holders, passphrase }, signal))
    pieces.push(Uint8Array.from(piece))
  const sealed = Buffer.concat(pieces)
  writeFileSync(folder + base, sealed)
  const receipt = receiptCodec.decode(readFileSync(folder + names.receipt(1)), names.receipt(1))
  const records = receipt.objects
    .map((line) => parseObjectLine(line))
    .map((record) => (record.name === base ? { name: base, length: sealed.length, sha256: sha256(sealed) } : record))
  const changed = receiptCodec.encode({ ...receipt, objects: records.map(objectLine).sort() })
  writeFileSync(folder + names.receipt(1), changed)
  const sums = new Map(records.map((record) => [record.name, record.sha256]))
  sums.set(names.receipt(1), sha256(changed))
  writeFileSync(folder + names.sums(1), encodeSums(sums))
  await sign(world, run, signingKey(world))
}

/** Signs the first sums of a run with a key of the caller's. */
export async function sign(world: World, run: string, secretKey: Uint8Array): Promise<void> {
  const folder = join(world.archive, names.runDirectory("docs", run))
  const signer = await jsSigner(secretKey)
  writeFileSync(folder + names.signature(1), await signer.detached(readFileSync(folder + names.sums(1)), signal))
}

// Real archives for tests of restoring, made step by step from the format and the doors, without the backup pipeline: so
// they can hold what no pipeline would write.

import { createHash, randomBytes } from "node:crypto"
import { mkdir } from "node:fs/promises"
import {
  BLOCK,
  type CatalogueEntry,
  type ChunkRef,
  checkValue,
  compressFrame,
  derivedPassphrase,
  encodeEntry,
  encodeRanges,
  encodeRoot,
  encodeRunKey,
  FORMAT,
  memberSize,
  names,
  padding,
  pathKey,
  type Receipt,
  type Release,
  type Root,
  releaseCodec,
  TAR_END,
  writeHeader,
} from "@backup-cloud/format"
import type { PassphraseOpener, PrivateOpener } from "@backup-cloud/openpgp"
import { generateKey } from "@backup-cloud/openpgp/keygen"
import { jsPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { jsPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { jsSealer } from "@backup-cloud/openpgp/seal"
import { jsSigner } from "@backup-cloud/openpgp/sign"
import { jsVerifier } from "@backup-cloud/openpgp/verify"
import { directoryStore } from "@backup-cloud/store"
import { readRuns, selectRun } from "@backup-cloud/trust"
import { type Committed, type MakePerson, makeArchive, signal, type TestArchive } from "../../trust/test/archive.ts"
import { Erasing, openRelease, type RunReader, type RunView, type Secrets, usedRuns } from "../src/index.ts"

export { signal }
export const SOURCE = "docs"
export const NOW = new Date("2026-11-24T12:00:00Z")

export const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex")

/** An entry with its content; times, owner and mode may be left out. */
export type TestEntry = Partial<CatalogueEntry> & Pick<CatalogueEntry, "type" | "path"> & { content?: Uint8Array }

function testEntry(given: TestEntry): CatalogueEntry & { content: Uint8Array } {
  const content = given.content ?? new Uint8Array(0)
  return {
    mode: given.type === "d" ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    mtime: "1700000000.123456789",
    size: content.length,
    sha256: given.type === "f" ? sha256(content) : null,
    link: null,
    attributes: new Map(),
    chunks: [],
    ...given,
    content,
  }
}

export const top: TestEntry = { type: "d", path: "." }

export interface MadeRun extends Committed {
  readonly key: string
  /** By chunk id, for runs that use this one. */
  readonly chunks: ReadonlyMap<string, ChunkRef>
}

export interface RunOptions {
  readonly run: string
  readonly entries: readonly TestEntry[]
  /** Bytes of a chunk of content. */
  readonly chunk?: number
  /** Chunks in a volume. */
  readonly perVolume?: number
  /** Bytes of a chunk of the catalogue, of which two make a volume. */
  readonly catalogueChunk?: number
  /** Chunks are found there first. */
  readonly uses?: readonly MadeRun[]
  /** The catalogue's text is changed before it is sealed. */
  readonly editText?: (text: string) => string
  readonly editRoot?: (root: Root) => Root
  /** Chunks of a volume, before they are packed. */
  readonly editVolume?: (chunks: Map<string, Uint8Array>) => Map<string, Uint8Array>
  readonly editReceipt?: (receipt: Receipt) => Receipt
}

export interface World extends TestArchive {
  readonly opener: PassphraseOpener
  /** Opens what is sealed to the person with this name. */
  privateOpener(name: string): PrivateOpener
  make(options: RunOptions): Promise<MadeRun>
  view(run: string, secrets: Secrets, salvage?: boolean): Promise<RunReader>
  release(run: MadeRun, more?: Partial<Release>, by?: number, to?: number): Promise<Uint8Array>
  /** The secrets of a release of the whole run, and of what it uses. */
  open(run: MadeRun, message: Uint8Array): Promise<Secrets>
  /** Everything: what a whole-run release of `run` gives, and what it uses of these others. */
  secrets(run: MadeRun, ...earlier: readonly MadeRun[]): Secrets
  damage(run: MadeRun, base: string, how: "flip" | "cut" | "remove"): Promise<void>
}

const FRAME = 1_048_576

/** A tar archive of chunks by id, as a volume's plaintext has it. */
async function volumeOf(chunks: ReadonlyMap<string, Uint8Array>): Promise<Buffer> {
  const tar = Buffer.alloc([...chunks.values()].reduce((sum, c) => sum + memberSize(c.length), TAR_END))
  let at = 0
  for (const [id, bytes] of chunks) {
    writeHeader(tar, at, id, bytes.length)
    tar.set(bytes, at + BLOCK)
    at += memberSize(bytes.length)
  }
  const frames: Buffer[] = []
  for (let cutAt = 0; cutAt < tar.length; cutAt += FRAME)
    frames.push(await compressFrame(tar.subarray(cutAt, cutAt + FRAME)))
  const length = frames.reduce((sum, frame) => sum + frame.length, 0)
  return Buffer.concat([...frames, padding(length)])
}

/** An archive in a directory, with a source, two holders and an operator. */
export async function makeWorld(folder: string, opener: PassphraseOpener = jsPassphraseOpener()): Promise<World> {
  const keys = new Map<string, Uint8Array>()
  const person: MakePerson = async (name) => {
    const key = await generateKey({ userId: `${name} <${name}@example.org>`, kind: "holder" })
    keys.set(name, key.secretKey)
    const certificate = await jsVerifier().certificate(key.certificate.bytes, name, signal)
    return { name, certificate, signer: await jsSigner(key.secretKey) }
  }
  await mkdir(folder)
  const archive = await makeArchive(directoryStore(folder), { person })
  await archive.addSource(SOURCE)
  const sealer = jsSealer()
  const seal = async (plain: Uint8Array, passphrase: string | null): Promise<Uint8Array> => {
    const pieces: Uint8Array[] = []
    const certificates = passphrase === null ? archive.holders.map((h) => h.certificate) : []
    for await (const piece of sealer.seal(pieceOf(plain), { certificates, passphrase }, signal)) pieces.push(piece)
    return new Uint8Array(Buffer.concat(pieces))
  }
  const readers = async (): Promise<readonly RunView[]> =>
    (await readRuns(await archive.load(), archive.store, SOURCE, signal)).runs

  const world: World = {
    ...archive,
    opener,
    privateOpener: (name) => jsPrivateOpener(keys.get(name) ?? new Uint8Array(0)),
    make: (options) => makeRun(archive, seal, options),
    async view(id, secrets, salvage = false) {
      const runs = await readRuns(await archive.load(), archive.store, SOURCE, signal)
      const run = selectRun(runs, id, { salvage })
      return {
        reader: archive.store,
        opener,
        secrets,
        erasing: new Erasing([]),
        run,
        runs: usedRuns(run, runs.runs, salvage),
      }
    },
    async release(run, more = {}, by = 0, to = -1) {
      const holder = archive.holders[by] ?? archive.admin
      const operator = to < 0 ? archive.operator : (archive.holders[to] ?? archive.admin)
      const release: Release = {
        format: FORMAT,
        type: "release",
        archive: (await archive.load()).archive.archive,
        request: "0".repeat(32),
        created: "2026-11-24T11:00:00Z",
        expires: "2026-11-25T11:00:00Z",
        holder: holder.certificate.fingerprint,
        operator: archive.operator.certificate.fingerprint,
        source: SOURCE,
        run: run.run,
        kind: "run",
        erasures: 0,
        without_erasures: false,
        secrets: [`${run.run} key.gpg ${run.key}`],
        ...more,
      }
      return await holder.signer.message(releaseCodec.encode(release), operator.certificate, signal)
    },
    async open(run, message) {
      const view = (await readers()).find((r) => r.run === run.run)
      if (view === undefined) throw new Error("no such run")
      const opened = await openRelease({
        message,
        object: "release",
        opener: world.privateOpener("otto"),
        verifier: archive.verifier,
        trust: await archive.load(),
        run: view,
        operator: archive.operator.certificate.fingerprint,
        now: NOW,
        signal,
      })
      return opened.secrets
    },
    secrets(...runs) {
      const byId = new Map(runs.map((r) => [r.run, r.key]))
      return {
        passphraseFor(id, base) {
          const key = byId.get(id)
          return key === undefined ? null : derivedPassphrase(key, id, base)
        },
      }
    },
    async damage(run, base, how) {
      const name = names.runDirectory(SOURCE, run.run) + base
      const bytes = Buffer.from(await archive.read(name))
      if (how === "flip") bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
      if (how === "remove") await archive.store.remove(name, signal)
      else await archive.replace(name, how === "cut" ? bytes.subarray(0, -1) : bytes)
    },
  }
  return world
}

async function* pieceOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

type Seal = (plain: Uint8Array, passphrase: string | null) => Promise<Uint8Array>

/** Chunks of one kind packed into volumes as they come, and where each lies. */
class Packer {
  readonly refs = new Map<string, ChunkRef>()
  readonly volumes: Map<string, Uint8Array>[] = []
  readonly #run: string
  readonly #perVolume: number

  constructor(run: string, perVolume: number) {
    this.#run = run
    this.#perVolume = perVolume
  }

  add(bytes: Uint8Array): ChunkRef {
    const id = sha256(bytes)
    const known = this.refs.get(id)
    if (known !== undefined) return known
    const last = this.volumes.at(-1)
    const volume = last !== undefined && last.size < this.#perVolume ? last : new Map<string, Uint8Array>()
    if (volume !== last) this.volumes.push(volume)
    volume.set(id, bytes)
    const ref = { id, length: bytes.length, run: this.#run, volume: this.volumes.length }
    this.refs.set(id, ref)
    return ref
  }
}

function* cut(bytes: Uint8Array, length: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

async function makeRun(archive: TestArchive, seal: Seal, options: RunOptions): Promise<MadeRun> {
  const { run, uses = [] } = options
  const key = randomBytes(32).toString("hex")
  const id = (await archive.load()).archive.archive
  const content = new Packer(run, options.perVolume ?? 4)
  const used = new Map<string, Set<number>>()
  const place = (bytes: Uint8Array): ChunkRef => {
    const old = uses.map((u) => u.chunks.get(sha256(bytes))).find((c) => c !== undefined)
    if (old === undefined) return content.add(bytes)
    used.set(old.run, (used.get(old.run) ?? new Set()).add(old.volume))
    return old
  }
  const entries = options.entries
    .map(testEntry)
    .toSorted((a, b) => (pathKey(a.path) < pathKey(b.path) ? -1 : 1))
    .map((e) => (e.sha256 === null ? e : { ...e, chunks: [...cut(e.content, options.chunk ?? 1000)].map(place) }))
  const plainText = entries.map(encodeEntry).join("")
  const text = Buffer.from(options.editText?.(plainText) ?? plainText, "latin1")
  const catalogue = new Packer(run, 2)
  const root: Root = {
    archive: id,
    source: SOURCE,
    run,
    number: 1,
    kind: "dir",
    outcome: "complete",
    entries: entries.length,
    errors: entries.filter((e) => e.attributes.has("error")).length,
    bytes: entries.reduce((sum, e) => sum + e.size, 0),
    catalogue: {
      bytes: text.length,
      sha256: sha256(text),
      chunks: [...cut(text, options.catalogueChunk ?? 500)].map((c) => catalogue.add(c)),
    },
  }
  const objects: Record<string, Uint8Array> = {
    [names.key]: await seal(encodeRunKey({ archive: id, source: SOURCE, run, key }), null),
  }
  const put = async (base: string, plain: Uint8Array): Promise<void> => {
    objects[base] = await seal(plain, derivedPassphrase(key, run, base))
  }
  for (const [i, chunks] of content.volumes.entries())
    await put(names.volume(i + 1), await volumeOf(options.editVolume?.(chunks) ?? chunks))
  for (const [i, chunks] of catalogue.volumes.entries()) await put(names.catalogue(i + 1), await volumeOf(chunks))
  await put(names.root(1), encodeRoot(options.editRoot?.(root) ?? root))
  const committed = await archive.commit({
    source: SOURCE,
    run,
    objects,
    previous: uses.slice(-1).map((u) => u.line),
    uses: uses
      .map((u) => ({ run: u.run, sums: u.sums, volumes: encodeRanges(used.get(u.run) ?? []), catalogues: "" }))
      .toSorted((a, b) => (a.run < b.run ? -1 : 1)),
    edit: (receipt) => {
      const mine = { ...receipt, check: checkValue(key) }
      return options.editReceipt?.(mine) ?? mine
    },
  })
  const chunks = new Map([...uses.flatMap((u) => [...u.chunks]), ...content.refs])
  return { ...committed, key, chunks }
}

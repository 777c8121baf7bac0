// An archive in a directory and an operator who takes disks to it.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after } from "node:test"
import { names } from "@backup-cloud/format"
import { directoryStore, type Store } from "@backup-cloud/store"
import { noise } from "../../store/test/helpers.ts"
import { hourly, jsPerson, type MakePerson, makeArchive, signal, type TestArchive } from "../../trust/test/archive.ts"
import {
  type Disk,
  initDisk,
  type NewDisk,
  openDisk,
  type PreparedSync,
  prepareSync,
  type SyncResult,
  sync,
} from "../src/index.ts"

export { signal } from "../../trust/test/archive.ts"

/** Keys are made once for a test file: only their owners' names matter. */
const people = new Map<string, ReturnType<MakePerson>>()
const person: MakePerson = (name, kind) => {
  const made = people.get(name) ?? jsPerson(name, kind)
  people.set(name, made)
  return made
}

export const run = (day: number, mark = "00000001"): string => `202611${String(day).padStart(2, "0")}T080000Z-${mark}`

export interface MediaWorld {
  readonly path: string
  readonly archive: TestArchive
  readonly now: () => Date
  init(path: string, more?: Partial<NewDisk>): Promise<Disk>
  prepare(path: string): Promise<PreparedSync>
  sync(path: string): Promise<SyncResult & { readonly prepared: PreparedSync }>
  /** An id for the next statement. */
  statement(): string
}

let counter = 0

/** An archive with the sources `docs` and `mail`. @param store a new directory unless given */
export async function mediaWorld(store?: Store): Promise<MediaWorld> {
  const path = mkdtempSync(join(tmpdir(), "bcm-archive-"))
  after(() => {
    rmSync(path, { recursive: true, force: true })
  })
  const archive = await makeArchive(store ?? directoryStore(path), { person })
  for (const name of ["docs", "mail"]) await archive.addSource(name)
  const now = hourly("2026-11-24T08:00:00Z")
  const { store: reader } = archive
  const { signer } = archive.operator
  const statement = (): string => `20261124T080000Z-${String(++counter).padStart(8, "0")}`
  const prepare = async (disk: string): Promise<PreparedSync> => {
    const trust = await archive.load()
    return await prepareSync({
      trust,
      reader,
      disk: await openDisk(disk, trust.archive.archive, signal),
      signal,
    })
  }
  return {
    ...{ path, archive, now, statement, prepare },
    async init(disk, more = {}) {
      mkdirSync(disk, { recursive: true })
      const wanted = { path: disk, label: "Disk A", set: null, location: "vault", custodian: "", parity: 0, ...more }
      const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes))
      const rest = { known: [], now: now(), random, statement: statement(), signal }
      return await initDisk(wanted, { trust: await archive.load(), reader, signer, ...rest })
    },
    async sync(disk) {
      const prepared = await prepare(disk)
      const options = { signer, now, statement: statement(), onEvent: () => undefined }
      return { ...(await sync(prepared, { ...options, signal })), prepared }
    },
  }
}

/** Objects of a run with volumes of these lengths. */
export function objects(mark: string, ...volumes: readonly number[]): Record<string, Uint8Array> {
  const some: Record<string, Uint8Array> = {
    [names.key]: Buffer.from(`key ${mark}`),
    [names.catalogue(1)]: Buffer.from(`catalogue ${mark}`),
    [names.root(1)]: Buffer.from(`root ${mark}`),
  }
  for (const [index, length] of volumes.entries()) {
    const body = Buffer.from(noise(length))
    body.write(`${mark} ${index}`)
    some[names.volume(index + 1)] = body
  }
  return some
}

// Volumes: frames are added in order, and a volume is closed when the next frame does not fit. Each may be sealed to several
// places at once (a catalogue volume also goes to the state). While one is stored the next is filled.

import { compressFrame, MAX_MEMBERS, type ObjectRecord, paddedLength, padding, TAR_END } from "@backup-cloud/format"

import type { Sealing } from "./sealing.ts"

/** Volumes that are being stored while the next is filled: each lies in a spool. */
const STORING = 2

export interface Bundled {
  readonly bytes: Uint8Array
  readonly tarBytes: number
  readonly count: number
}

interface Open {
  readonly number: number
  readonly sealings: readonly Sealing[]
  length: number
  tarBytes: number
  members: number
}

export class Bundles {
  readonly #open: (number: number) => readonly Sealing[]
  readonly #mostTar: number
  readonly #most: number
  readonly #records: ObjectRecord[] = []
  readonly #pending = new Set<Promise<void>>()
  #failure: { error: unknown } | null = null
  #current: Open | null = null
  #number = 0
  #end: Buffer | null = null

  /**
   * @param mostTar bytes of tar at which a volume is closed
   * @param most bytes of its plaintext at which it is, at most those of a full one
   * @param open starts the volume of this number; the first sealing's record counts
   */
  constructor(mostTar: number, most: number, open: (number: number) => readonly Sealing[]) {
    this.#mostTar = mostTar
    this.#most = most
    this.#open = open
  }

  /** Bytes of sealed volumes that are stored and not yet among the records of a flush. */
  get stored(): number {
    return this.#records.reduce((sum, record) => sum + record.length, 0)
  }

  /** Volumes begun so far. */
  get count(): number {
    return this.#number
  }

  /** Adds a frame; resolves to the number of its volume, once the memory of the frame may be used again. */
  async add(frame: Bundled): Promise<number> {
    if (this.#failure !== null) throw this.#failure.error
    const end = await this.#tarEnd()
    const now = this.#current
    const full =
      now !== null &&
      (now.length + frame.bytes.length + end.length + 8 > this.#most ||
        now.tarBytes + frame.tarBytes + TAR_END > this.#mostTar ||
        now.members + frame.count > MAX_MEMBERS)
    if (full) await this.#close()
    const volume = (this.#current ??= this.#begin())
    await Promise.all(volume.sealings.map((sealing) => sealing.push(frame.bytes)))
    volume.length += frame.bytes.length
    volume.tarBytes += frame.tarBytes
    volume.members += frame.count
    return volume.number
  }

  /** Closes the open volume and waits until all are stored; resolves to the records since the last flush. */
  async flush(): Promise<readonly ObjectRecord[]> {
    await this.#close()
    await Promise.all(this.#pending)
    if (this.#failure !== null) throw this.#failure.error
    return this.#records.splice(0)
  }

  /** After an abort: resolves once nothing is under way any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#pending, ...(this.#current?.sealings ?? []).map((sealing) => sealing.settled())])
  }

  #begin(): Open {
    this.#number++
    return { number: this.#number, sealings: this.#open(this.#number), length: 0, tarBytes: 0, members: 0 }
  }

  async #tarEnd(): Promise<Buffer> {
    return (this.#end ??= await compressFrame(new Uint8Array(TAR_END)))
  }

  async #close(): Promise<void> {
    const volume = this.#current
    if (volume === null) return
    this.#current = null
    const end = await this.#tarEnd()
    const length = volume.length + end.length
    if (paddedLength(length) === null) throw new RangeError("a volume was filled too far")
    const pad = padding(length)
    for (const sealing of volume.sealings) {
      await sealing.push(end)
      await sealing.push(pad)
    }
    const stored = Promise.all(volume.sealings.map((sealing) => sealing.close())).then(
      ([record]) => {
        if (record !== undefined) this.#records.push(record)
      },
      (error: unknown) => {
        this.#failure ??= { error }
      },
    )
    this.#pending.add(stored)
    void stored.then(() => this.#pending.delete(stored))
    while (this.#pending.size > STORING) await Promise.race(this.#pending)
  }
}

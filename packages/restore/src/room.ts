// Memory for objects of up to 64 MiB, used again: left to the garbage collector it would grow to several times as much.
// Whoever comes when all of it is in use waits, and so its size bounds what is under way.

import { release } from "@backup-cloud/format"

export class Room {
  readonly #free: ArrayBufferLike[]
  readonly #waiting: (() => void)[] = []
  #places: number

  /**
   * @param places how many objects it holds at once
   * @param first memory to begin with
   */
  constructor(places: number, first?: ArrayBufferLike) {
    this.#places = places
    this.#free = first === undefined ? [] : [first]
  }

  /** @param length bytes */
  async take(length: number): Promise<Buffer> {
    while (this.#places === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#places--
    const room = this.#free.pop()
    if (room !== undefined && room.byteLength >= length) return Buffer.from(room, 0, length)
    if (room instanceof ArrayBuffer) release(room)
    return Buffer.from(new ArrayBuffer(length))
  }

  /** @param bytes what was taken, or the beginning of it */
  give(bytes: Buffer): void {
    this.#free.push(bytes.buffer)
    this.#places++
    this.#waiting.shift()?.()
  }
}

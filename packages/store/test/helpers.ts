// Bodies, names and readers that the store's tests share.

import { createHash } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after } from "node:test"
import type { ArchiveReader, ArchiveWriter, ObjectInfo, ReadOptions } from "../src/index.ts"

export const signal = new AbortController().signal

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function sha256(body: Uint8Array): string {
  return createHash("sha256").update(body).digest("hex")
}

/** The same bytes each time, not compressible and not periodic. */
export function noise(length: number): Uint8Array {
  const block = Buffer.alloc(length)
  for (let at = 0, state = 1; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    block[at] = state >>> 16
  }
  return block
}

export async function put(store: ArchiveWriter, name: string, body: Uint8Array | string): Promise<ObjectInfo> {
  const whole = typeof body === "string" ? bytes(body) : body
  return await store.create(name, [whole], sha256(whole), signal)
}

export async function get(store: ArchiveReader, name: string, options?: ReadOptions): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  // A piece is valid until the next is asked for.
  for await (const piece of store.read(name, signal, options)) pieces.push(Uint8Array.from(piece))
  return Buffer.concat(pieces)
}

export async function namesOf(store: ArchiveReader, prefix: string): Promise<string[]> {
  return (await collect(store.list(prefix, signal))).map((info) => info.name)
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** A new directory that goes when the file's tests end. */
export async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "store-"))
  after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A port of 127.0.0.1 that nobody uses at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

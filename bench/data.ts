// Data to measure with, the same at each run: many small files, text, and bytes that do not compress.

import { createCipheriv, createHash } from "node:crypto"
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"

/** Pseudo-random bytes. */
function noise(seed: string) {
  const key = createHash("sha256").update(seed).digest()
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16))
  return (length: number): Buffer => cipher.update(Buffer.alloc(length))
}

const words = Array.from({ length: 4096 }, (_, i) =>
  createHash("sha256")
    .update(String(i))
    .digest("hex")
    .slice(0, 2 + (i % 9)),
)

/** Text of about `length` bytes that compresses to about 40%. */
function text(take: (length: number) => Buffer, length: number): Buffer {
  const numbers = take(Math.ceil(length / 6) * 2)
  let line = ""
  for (let i = 0; line.length < length; i += 2)
    line += `${words[numbers.readUInt16LE(i % (numbers.length - 1)) & 4095] ?? ""} `
  return Buffer.from(line.slice(0, length))
}

/** Makes the three trees below `base`. @param mebibytes of each; the small files are 20 KiB on average */
export function makeData(base: string, mebibytes: number): { small: string; text: string; noise: string } {
  const folders = { small: join(base, "small"), text: join(base, "text"), noise: join(base, "noise") }
  const take = noise("small")
  const count = Math.round((mebibytes * 1024) / 20)
  for (let i = 0; i < count; i++) {
    const folder = join(folders.small, `${i % 64}`, `${Math.floor(i / 64) % 32}`)
    mkdirSync(folder, { recursive: true })
    // Sizes spread over three powers of ten, as in home directories.
    const size = Math.floor(20 * 2 ** ((take(2).readUInt16LE() / 65_536) * 12.6))
    writeFileSync(join(folder, `file-${i}.txt`), text(take, size))
  }
  large(folders.text, mebibytes, (length) => text(noise("text"), length), 7)
  large(folders.noise, mebibytes, noise("noise"), 0)
  return folders
}

function large(folder: string, mebibytes: number, take: (length: number) => Buffer, rotate: number): void {
  mkdirSync(folder, { recursive: true })
  const file = openSync(join(folder, "large"), "w")
  const block = rotate > 0 ? take(8 * 1_048_576) : null
  for (let i = 0; i < mebibytes; i += 8) {
    // Each block of text starts elsewhere in the same words, so that no two are alike.
    const shift = (i * rotate * 1021) % 1_048_576
    writeSync(
      file,
      block === null
        ? take(8 * 1_048_576)
        : Buffer.concat([Buffer.from(`block ${i} `), block.subarray(shift), block.subarray(0, shift)]),
    )
  }
  closeSync(file)
}

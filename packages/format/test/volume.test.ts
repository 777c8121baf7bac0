import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash, randomFillSync } from "node:crypto"
import { describe, test } from "node:test"
import { constants, zstdCompressSync } from "node:zlib"
import fc from "fast-check"
import { compressFrame, FULL, MAX_TAR, paddedLength, padding, unpackVolume } from "../src/index.ts"
import { digest, refused } from "./samples.ts"
import { type Chunk, makeTar, makeVolume, padded, skippable } from "./volumes.ts"

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
const chunksOf = (...lengths: number[]): Chunk[] =>
  lengths.map((length, i) => ({ id: digest(String(i)), bytes: randomFillSync(Buffer.alloc(length)) }))

async function unpackRefused(volume: Uint8Array, label: string): Promise<void> {
  await assert.rejects(
    unpackVolume(volume, "x"),
    (error: unknown) => {
      refused(() => {
        throw error as Error
      }, label)
      return true
    },
    label,
  )
}

/** What `zstd -dc | tar -t` makes of it. */
function stockTools(volume: Uint8Array): { status: number | null; names: string[] } {
  const zstd = spawnSync("zstd", ["-dc"], { input: volume, maxBuffer: 2 ** 30 })
  const tar = spawnSync("tar", ["-t"], { input: zstd.stdout, encoding: "utf8" })
  return { status: zstd.status, names: tar.stdout.split("\n").filter((line) => line !== "") }
}

test("any chunks in any frames are read back, and zstd and tar agree", async () => {
  const chunks = fc.uniqueArray(
    fc.record({ id: fc.string().map(digest), bytes: fc.uint8Array({ minLength: 1, maxLength: 3000 }) }),
    { selector: (c) => c.id, minLength: 1, maxLength: 8 },
  )
  await fc.assert(
    fc.asyncProperty(chunks, fc.integer({ min: 100, max: 9000 }), async (list, step) => {
      const volume = await makeVolume(makeTar(list), step)
      assert.equal(volume.length, 65_536)
      const members = await unpackVolume(volume, "x")
      assert.deepEqual(
        members.map((m) => [m.id, new Uint8Array(m.bytes)]),
        list.map((c) => [c.id, new Uint8Array(c.bytes)]),
      )
      assert.deepEqual(stockTools(volume), { status: 0, names: list.map((c) => c.id) })
    }),
    { numRuns: 25 },
  )
})

describe("frames", () => {
  test("always carry content size and checksum, and zstd says so", async () => {
    for (const length of [0, 1, 255, 256, 257, 65_791, 65_792, 1_048_576, 16_777_216]) {
      for (const fill of ["zeros", "noise"]) {
        const content = Buffer.alloc(length)
        if (fill === "noise") randomFillSync(content)
        const frame = await compressFrame(content)
        const descriptor = frame[4]!
        assert.equal(frame.readUInt32LE(0), 0xfd2fb528)
        assert.equal(descriptor & 0b100, 0b100, `${length} ${fill}: checksum`)
        assert.equal(descriptor & 0b1011, 0, `${length} ${fill}: no dictionary`)
        assert.ok(descriptor >> 6 > 0 || (descriptor & 0b10_0000) !== 0, `${length} ${fill}: content size`)
        const result = spawnSync("zstd", ["-dc"], { input: frame, maxBuffer: 2 ** 26 })
        assert.equal(result.status, 0)
        assert.equal(hash(result.stdout), hash(content))
      }
    }
  })
  test("of a whole full volume stay in an 8 MiB window", async () => {
    const tar = makeTar(chunksOf(...Array.from({ length: 15 }, () => 4_194_304)))
    const volume = await makeVolume(tar)
    assert.equal(volume.length, FULL)
    const members = await unpackVolume(volume, "x")
    assert.equal(members.length, 15)
    const result = spawnSync("zstd", ["-dc", "--memory=8MiB"], { input: volume, maxBuffer: 2 ** 27 })
    assert.equal(result.status, 0, result.stderr.toString())
    assert.equal(hash(result.stdout), hash(tar))
  })
})

describe("padding", () => {
  test("brings any length to the next allowed one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: FULL }), (length) => {
        const size = paddedLength(length)
        if (size === null) {
          assert.ok(length > FULL - 8 && length < FULL)
          assert.throws(() => padding(length), RangeError)
          return
        }
        assert.ok(size === FULL || (size >= 65_536 && size <= 33_554_432 && (size & (size - 1)) === 0))
        assert.ok(length === size || length + 8 <= size)
        const smaller = size === FULL ? 33_554_432 : size / 2
        assert.ok(size === 65_536 || length > smaller - 8)
      }),
      { numRuns: 2000 },
    )
  })
  const table: [number, number | null][] = [
    [1, 65_536],
    [65_528, 65_536],
    [65_529, 131_072],
    [65_535, 131_072],
    [65_536, 65_536],
    [65_537, 131_072],
    [33_554_424, 33_554_432],
    [33_554_425, FULL],
    [33_554_432, 33_554_432],
    [33_554_433, FULL],
    [FULL - 8, FULL],
    [FULL - 7, null],
    [FULL, FULL],
    [FULL + 1, null],
  ]
  for (const [length, size] of table) {
    test(`${length} to ${size ?? "none"}`, () => {
      assert.equal(paddedLength(length), size)
      if (size !== null) assert.equal(length + padding(length).length, size)
    })
  }
})

describe("a volume that is not in the one form", async () => {
  const list = chunksOf(3000, 70_000, 20_000)
  const tar = makeTar(list)
  const volume = await makeVolume(tar, 30_000)
  const first = await compressFrame(tar.subarray(0, 30_000))
  const rest = await compressFrame(tar.subarray(30_000))
  const frames = Buffer.concat([first, rest])
  const used = frames.length
  const raw = (content: Uint8Array, params: Record<number, number>): Buffer => zstdCompressSync(content, { params })
  const both = { [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_contentSizeFlag]: 1 }
  const flipped = (at: number): Buffer => {
    const copy = Buffer.from(volume)
    copy[at] = copy[at]! ^ 1
    return copy
  }

  test("starts from a good one", async () => {
    assert.equal((await unpackVolume(padded(frames), "x")).length, 3)
    assert.equal((await unpackVolume(padded(raw(tar, both)), "x")).length, 3)
  })

  test("truncated anywhere", async () => {
    for (let length = 0; length < volume.length; length += 997)
      await unpackRefused(volume.subarray(0, length), `${length}`)
    for (const length of [1, 2, 3, 4, 5, 8, volume.length - 1])
      await unpackRefused(volume.subarray(0, length), `${length}`)
  })

  test("truncated, and padded again", async () => {
    for (let length = 0; length < used; length += 997) {
      if (length === first.length) continue
      await unpackRefused(padded(frames.subarray(0, length)), `${length}`)
    }
    await unpackRefused(padded(first), "the first frame alone")
  })

  test("with one bit changed", async () => {
    const places = [0, 1, 3, 4, 5, 6, 100, first.length - 4, first.length - 1, first.length, used - 4, used - 1]
    for (const at of [...places, used, used + 4, used + 7, used + 8, volume.length - 1])
      await unpackRefused(flipped(at), `byte ${at}`)
  })

  const declared = Buffer.from(first)
  declared.writeUIntLE(first.readUIntLE(5, 2) + 1, 5, 2)
  const zeros = (length: number): Buffer => skippable(Buffer.alloc(length))
  const cases: [string, Buffer][] = [
    ["empty", Buffer.alloc(0)],
    ["nothing but padding", zeros(65_528)],
    ["garbage after it", Buffer.concat([volume, Buffer.from("x")])],
    ["another volume after it", Buffer.concat([volume, volume])],
    ["not padded", frames],
    ["padded to less", Buffer.concat([frames, zeros(1000)])],
    ["padded to twice the size", Buffer.concat([frames, zeros(2 * volume.length - used - 8)])],
    ["padded with zeros and no frame", Buffer.concat([frames, Buffer.alloc(volume.length - used)])],
    ["padded with two frames", Buffer.concat([frames, zeros(1000), zeros(volume.length - used - 1016)])],
    ["padded with a frame that says less", Buffer.concat([frames, zeros(volume.length - used - 9), Buffer.alloc(1)])],
    ["padding that is not zeros", Buffer.concat([frames, skippable(Buffer.alloc(volume.length - used - 8, 1))])],
    ["padding of another kind", Buffer.concat([frames, skippable(Buffer.alloc(volume.length - used - 8), 1)])],
    ["padding first", Buffer.concat([zeros(volume.length - used - 8), frames])],
    ["padding between the frames", Buffer.concat([first, zeros(volume.length - used - 8), rest])],
    ["frames in another order", padded(Buffer.concat([rest, first]))],
    ["a frame twice", padded(Buffer.concat([first, first, rest]))],
    ["garbage between the frames", padded(Buffer.concat([first, Buffer.from("x"), rest]))],
    ["a frame that says more than it holds", padded(Buffer.concat([declared, rest]))],
    ["no checksum", padded(raw(tar, { [constants.ZSTD_c_contentSizeFlag]: 1 }))],
    ["no content size", padded(raw(tar, { ...both, [constants.ZSTD_c_contentSizeFlag]: 0 }))],
    ["not compressed at all", padded(tar)],
    ["no tar archive", padded(raw(Buffer.from("hello"), both))],
    ["two tar archives", padded(Buffer.concat([frames, frames]))],
  ]
  for (const [label, form] of cases) {
    test(label, async () => {
      await unpackRefused(form, label)
    })
  }

  test("with a window above 8 MiB", async () => {
    const large = makeTar(chunksOf(...Array.from({ length: 10 }, () => 1_000_000)))
    const window = (log: number): Buffer => padded(raw(large, { ...both, [constants.ZSTD_c_windowLog]: log }))
    assert.equal((await unpackVolume(window(23), "x")).length, 10)
    await unpackRefused(window(24), "a window of 16 MiB")
    // Of a single segment the window is the whole content.
    const pledged = zstdCompressSync(large, {
      params: { ...both, [constants.ZSTD_c_windowLog]: 24 },
      pledgedSrcSize: large.length,
    })
    assert.equal(pledged[4]! & 0b10_0000, 0b10_0000)
    await unpackRefused(padded(pledged), "a single segment of 10 MB")
  })

  test("that unpacks to more than it says, or to more than there may be", async () => {
    const bomb = raw(Buffer.alloc(MAX_TAR + 512), both)
    await unpackRefused(padded(bomb), "more than 256 MiB")
    const quiet = Buffer.from(bomb)
    assert.equal(quiet[4]! >> 6, 2)
    quiet.writeUInt32LE(1024, (quiet[4]! & 0b10_0000) === 0 ? 6 : 5)
    await unpackRefused(padded(quiet), "a size that is a lie")
  })
})

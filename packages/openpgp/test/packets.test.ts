import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { checkSignatureFile, leadingPkesks, walkPackets } from "@backup-cloud/openpgp"
import fc from "fast-check"
import { splitSealed } from "../src/packets.ts"
import { joined, pieces } from "./doors.ts"

const tampered = { fault: "tampered" }
const newFormat = (tag: number, body: Uint8Array): Buffer => {
  const length = Buffer.from([255, 0, 0, 0, 0])
  length.writeUInt32BE(body.length, 1)
  return Buffer.concat([Uint8Array.of(0xc0 | tag), length, body])
}
const oldFormat = (tag: number, body: Uint8Array): Buffer =>
  Buffer.concat([Uint8Array.of(0x80 | (tag << 2) | 1, body.length >> 8, body.length & 255), body])

/** Tag 18 in parts of 2^n bytes and a last one of any length. */
function partial(body: Uint8Array, power: number): Buffer {
  const parts: Uint8Array[] = [Uint8Array.of(0xd2)]
  let rest = body
  for (; rest.length >= 2 ** power; rest = rest.subarray(2 ** power)) {
    parts.push(Uint8Array.of(224 + power), rest.subarray(0, 2 ** power))
  }
  return Buffer.concat([...parts, newFormat(18, rest).subarray(1)])
}
const pkesk = oldFormat(1, Buffer.concat([Uint8Array.of(3), randomBytes(90)]))
const skesk = newFormat(3, Buffer.concat([Uint8Array.of(4), randomBytes(45)]))
const data = Buffer.concat([Uint8Array.of(1), randomBytes(5_000)])

test("old and new headers, one-, two- and five-byte and partial lengths are walked", () => {
  const short = Buffer.concat([Uint8Array.of(0xc0 | 13, 191), randomBytes(191)])
  const middle = Buffer.concat([Uint8Array.of(0xc0 | 13, 192, 0), randomBytes(192)])
  const all = [short, middle, pkesk, skesk, partial(data, 9)]
  const found = walkPackets(Buffer.concat(all), "x")
  assert.deepEqual(
    found.map((packet) => packet.tag),
    [13, 13, 1, 3, 18],
  )
  assert.deepEqual(
    found.map((packet) => packet.end - packet.start),
    all.map((each) => each.length),
  )
})

test("bytes that are no packets, indeterminate lengths, cuts and partial key packets are refused", () => {
  const bad = [
    Uint8Array.of(0),
    Uint8Array.of(0x84 | 3, 1),
    Uint8Array.of(0xc1, 0xe9),
    pkesk.subarray(0, -1),
    partial(data, 9).subarray(0, 513),
    Buffer.concat([pkesk, Uint8Array.of(0xff)]),
  ]
  for (const each of bad) assert.throws(() => walkPackets(each, "x"), tampered)
})

test("the PKESKs a file begins with are cut out exactly, from a beginning of the file, too", () => {
  const message = Buffer.concat([pkesk, pkesk, skesk, newFormat(18, data)])
  const both = Buffer.concat([pkesk, pkesk])
  assert.deepEqual(Buffer.from(leadingPkesks(message, "x")), both)
  assert.deepEqual(Buffer.from(leadingPkesks(message.subarray(0, both.length + 6), "x")), both)
  for (const each of [both, skesk, new Uint8Array(0), pkesk.subarray(0, 20)]) {
    assert.throws(() => leadingPkesks(each, "x"), tampered)
  }
})

test("a sealed message is taken apart in pieces of any size, and comes out unchanged", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(3_000),
      fc.integer({ min: 0, max: 11 }),
      fc.integer({ min: 1, max: 700 }),
      async (n, power, step) => {
        const message = Buffer.concat([pkesk, skesk, partial(data.subarray(0, n + 1), power)])
        const parts = await splitSealed(pieces(message, step), "x")
        assert.deepEqual(
          parts.keys.map((key) => key.tag),
          [1, 3],
        )
        const whole = Buffer.concat([...parts.keys.map((key) => key.bytes), await joined(parts.data)])
        assert.ok(whole.equals(message))
      },
    ),
    { numRuns: 200 },
  )
})

test("no beginning of a sealed message and no addition to it passes for whole", async () => {
  const message = Buffer.concat([pkesk, skesk, partial(data.subarray(0, 200), 6)])
  const take = async (bytes: Uint8Array): Promise<Buffer> => joined((await splitSealed(pieces(bytes, 7), "x")).data)
  for (let end = 0; end < message.length; end++)
    await assert.rejects(take(message.subarray(0, end)), tampered, `${end}`)
  await assert.rejects(take(Buffer.concat([message, Uint8Array.of(0xd2)])), tampered)
  await take(message)
})

test("other packets, versions and orders are refused", async () => {
  const sealed = newFormat(18, data)
  const good = [
    [pkesk, sealed],
    [skesk, sealed],
    [pkesk, pkesk, skesk, sealed],
  ]
  const bad = [
    [sealed],
    [skesk, pkesk, sealed],
    [skesk, skesk, sealed],
    [pkesk, newFormat(20, data)],
    [pkesk, newFormat(9, data)],
    [pkesk, newFormat(18, Uint8Array.of(2, 9, 9))],
    [pkesk, newFormat(18, new Uint8Array(0))],
    [newFormat(1, Uint8Array.of(6, 0)), sealed],
    [newFormat(3, Uint8Array.of(5, 0)), sealed],
    [newFormat(1, new Uint8Array(20_000).fill(3)), sealed],
    [newFormat(10, Buffer.from("PGP")), pkesk, sealed],
    [pkesk, sealed, sealed],
  ]
  const take = async (parts: readonly Uint8Array[]): Promise<Buffer> =>
    joined((await splitSealed(pieces(Buffer.concat(parts)), "x")).data)
  for (const each of good) await take(each)
  for (const [i, each] of bad.entries()) await assert.rejects(take(each), tampered, `${i}`)
})

test("a signature file is one signature of version 4, class 00, with SHA-2", () => {
  const signature = (version: number, kind: number, hash: number): Buffer =>
    newFormat(2, Buffer.concat([Uint8Array.of(version, kind, 22, hash), randomBytes(60)]))
  for (const hash of [8, 9, 10]) checkSignatureFile(signature(4, 0, hash), "x")
  const bad = [signature(3, 0, 8), signature(6, 0, 8), signature(4, 1, 8), signature(4, 0, 2), signature(4, 0, 1)]
  bad.push(
    Buffer.concat([signature(4, 0, 8), signature(4, 0, 8)]),
    newFormat(13, randomBytes(60)),
    newFormat(2, Buffer.of(4, 0)),
  )
  for (const each of bad)
    assert.throws(
      () => {
        checkSignatureFile(each, "x")
      },
      { fault: "refused" },
    )
})

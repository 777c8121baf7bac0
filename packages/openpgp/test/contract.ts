/* eslint-disable @typescript-eslint/no-floating-promises -- the runner awaits what `test` and `suite` return */

// What both ways through the doors must do, each with what the other made: `maker` seals and signs, `reader` opens and
// verifies. Every refusal stands beside the same thing succeeding with the one fault taken away.

import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdtemp, open, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, before, suite, test } from "node:test"
import { deflateRawSync } from "node:zlib"
import { isFault } from "@backup-cloud/format"
import { type Certificate, checkSealed, leadingPkesks, walkPackets } from "@backup-cloud/openpgp"
import * as pgp from "openpgp"
import { bytes, type Doors, flipped, joined, pieces, signal } from "./doors.ts"
import { adopting, type People, people, rawSignature, whenGood } from "./people.ts"

const PASSPHRASE = "0123456789abcdef".repeat(4)
const refused = { name: "BackupError", fault: "refused" }
const tampered = { name: "BackupError", fault: "tampered" }
const binary = async (certificate: Certificate): Promise<Uint8Array> =>
  (await pgp.readKey({ armoredKey: Buffer.from(certificate.bytes).toString() })).write()

export function contract(label: string, openMaker: () => Promise<Doors>, openReader: () => Promise<Doors>): void {
  suite(label, () => {
    let who: People
    let maker: Doors
    let reader: Doors
    before(async () => {
      who = await people()
      maker = await openMaker()
      reader = await openReader()
    })
    after(async () => {
      await maker[Symbol.asyncDispose]()
      await reader[Symbol.asyncDispose]()
    })
    const seal = (
      plain: Uint8Array,
      certificates: readonly Certificate[],
      passphrase: string | null,
    ): Promise<Buffer> => joined(maker.sealer.seal(pieces(plain), { certificates, passphrase }, signal))
    const openWith = (message: Uint8Array, passphrase = PASSPHRASE): Promise<Buffer> =>
      joined(reader.passphraseOpener.open(pieces(message), passphrase, signal))

    for (const size of [0, 1, 511, 65_536, 3_000_001]) {
      test(`${size} bytes sealed to two holders and a passphrase open by each of the three`, async () => {
        const plain = randomBytes(size)
        const message = await seal(plain, [who.alice.certificate, who.bob.certificate], PASSPHRASE)
        assert.deepEqual(
          walkPackets(message, "message").map((packet) => packet.tag),
          [1, 1, 3, 18],
        )
        assert.ok((await openWith(message)).equals(plain))
        for (const key of [who.alice, who.bob]) {
          const opener = await reader.privateOpener(key.secretKey)
          assert.ok(plain.equals(await opener.open(message, "message", signal)))
        }
      })
    }

    test("a certificate or a passphrase alone is enough, and then nothing else opens it", async () => {
      const plain = bytes("one of the two")
      const forAlice = await seal(plain, [who.alice.certificate], null)
      const forPassphrase = await seal(plain, [], PASSPHRASE)
      assert.deepEqual(
        walkPackets(forAlice, "message").map((packet) => packet.tag),
        [1, 18],
      )
      assert.deepEqual(
        walkPackets(forPassphrase, "message").map((packet) => packet.tag),
        [3, 18],
      )
      const alice = await reader.privateOpener(who.alice.secretKey)
      const bob = await reader.privateOpener(who.bob.secretKey)
      assert.deepEqual(Buffer.from(await alice.open(forAlice, "message", signal)), Buffer.from(plain))
      await assert.rejects(bob.open(forAlice, "message", signal), refused)
      await assert.rejects(alice.open(forPassphrase, "message", signal), refused)
      assert.deepEqual(await openWith(forPassphrase), Buffer.from(plain))
      await assert.rejects(openWith(forAlice), refused)
    })

    test("PKESKs stand in the order of the certificates", async () => {
      for (const order of [
        [who.alice, who.bob, who.withSubkey],
        [who.withSubkey, who.bob, who.alice],
      ]) {
        const message = await seal(
          bytes("x"),
          order.map((key) => key.certificate),
          null,
        )
        const ids = (await pgp.readMessage({ binaryMessage: Uint8Array.from(message) })).getEncryptionKeyIDs()
        for (const [i, key] of order.entries()) {
          const certificate = await pgp.readKey({ armoredKey: Buffer.from(key.certificate.bytes).toString() })
          assert.ok(certificate.getKeyIDs().some((id) => ids[i]?.equals(id)))
        }
        assert.equal(leadingPkesks(message, "message").length, walkPackets(message, "message")[2]?.end)
      }
    })

    test("nothing is sealed to nobody, to one twice, to an expired or revoked key, or to a key that only signs", async () => {
      await assert.rejects(seal(bytes("x"), [], null), { fault: "usage" })
      await assert.rejects(seal(bytes("x"), [who.alice.certificate, who.alice.certificate], null), { fault: "usage" })
      await assert.rejects(seal(bytes("x"), [], "two\nlines"), { fault: "usage" })
      for (const bad of [who.expired, who.revoked, who.source]) {
        await assert.rejects(seal(bytes("x"), [who.alice.certificate, bad.certificate], PASSPHRASE), refused)
      }
      await seal(bytes("x"), [who.alice.certificate, who.beforeRevocation.certificate], PASSPHRASE)
    })

    test("a certificate that is not the one it is said to be is refused", async () => {
      const forged = { fingerprint: who.alice.certificate.fingerprint, bytes: who.bob.certificate.bytes }
      await assert.rejects(seal(bytes("x"), [forged], null), refused)
    })

    for (const size of [100, 70_000]) {
      test(`the memory of a piece of ${size} bytes is used again when the next one is asked for`, async () => {
        const plain = randomBytes(size * 7)
        const reusing = async function* (all: Uint8Array): AsyncGenerator<Uint8Array> {
          const memory = Buffer.alloc(size)
          for (let at = 0; at < all.length; at += size) {
            const length = Math.min(size, all.length - at)
            memory.set(all.subarray(at, at + length))
            yield memory.subarray(0, length)
            memory.fill(0)
          }
        }
        const to = { certificates: [], passphrase: PASSPHRASE }
        const sealed = await joined(maker.sealer.seal(reusing(plain), to, signal))
        assert.ok((await openWith(sealed)).equals(plain))
        const opened = await joined(reader.passphraseOpener.open(reusing(sealed), PASSPHRASE, signal))
        assert.ok(opened.equals(plain))
      })
    }

    test("a message that was left in a file is the one asked for, and opens", async () => {
      const plain = randomBytes(300_000)
      const path = join(await mkdtemp(join(tmpdir(), "spool-")), "message")
      await using spool = await open(path, "wx+")
      const to = { certificates: [who.alice.certificate, who.bob.certificate], passphrase: PASSPHRASE }
      const sealedTo = await maker.sealer.sealInto(spool, pieces(plain), to, signal)
      const message = await readFile(path)
      await rm(dirname(path), { recursive: true })
      assert.ok((await joined(checkSealed(pieces(message), sealedTo))).equals(message))
      assert.ok((await openWith(message)).equals(plain))
      for (const other of [
        { ...sealedTo, passphrase: false },
        { ...sealedTo, keyIds: sealedTo.keyIds.toReversed() },
        { ...sealedTo, keyIds: sealedTo.keyIds.slice(1) },
      ]) {
        await assert.rejects(joined(checkSealed(pieces(message), other)), { fault: "unavailable" })
      }
    })

    test("a failing input fails the sealing with its own error", async () => {
      const broken = new Error("the disk is gone")
      async function* input(): AsyncGenerator<Uint8Array> {
        yield randomBytes(300_000)
        throw broken
      }
      const sealing = joined(
        maker.sealer.seal(input(), { certificates: [who.alice.certificate], passphrase: null }, signal),
      )
      await assert.rejects(sealing, (error: unknown) => error === broken)
    })

    test("an aborted sealing ends with the reason", async () => {
      const stop = new AbortController()
      const reason = new Error("stopped")
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (let i = 0; ; i++) {
          if (i === 20) stop.abort(reason)
          yield randomBytes(65_536)
        }
      }
      const to = { certificates: [who.alice.certificate], passphrase: null }
      await assert.rejects(joined(maker.sealer.seal(endless(), to, stop.signal)), (error: unknown) => error === reason)
    })

    test("a reader that stops early is no error", async () => {
      const to = { certificates: [], passphrase: PASSPHRASE }
      for await (const piece of maker.sealer.seal(pieces(randomBytes(2_000_000)), to, signal)) {
        assert.ok(piece.length > 0)
        break
      }
    })

    test("key packets alone give the session key to a holder of a key, which opens that message and no other", async () => {
      const plain = randomBytes(200_000)
      const message = await seal(plain, [who.alice.certificate, who.bob.certificate], null)
      const other = await seal(plain, [who.alice.certificate, who.bob.certificate], null)
      const pkesks = leadingPkesks(message, "file")
      for (const holder of [who.alice, who.bob]) {
        const opener = await reader.privateOpener(holder.secretKey)
        const key = await opener.sessionKey(pkesks, "file", signal)
        assert.match(key, /^[0-9a-f]{64}$/)
        assert.ok((await joined(reader.sessionKeyOpener.open(pieces(message), key, signal))).equals(plain))
        await assert.rejects(joined(reader.sessionKeyOpener.open(pieces(other), key, signal)), tampered)
        const flip = flipped(message, message.length - 5)
        await assert.rejects(joined(reader.sessionKeyOpener.open(pieces(flip), key, signal)), tampered)
      }
      const stranger = await reader.privateOpener(who.withSubkey.secretKey)
      await assert.rejects(stranger.sessionKey(pkesks, "file", signal), refused)
      await assert.rejects(joined(reader.sessionKeyOpener.open(pieces(message), "00", signal)), { fault: "usage" })
    })

    test("a wrong passphrase opens nothing", async () => {
      const message = await seal(bytes("secret"), [who.alice.certificate], PASSPHRASE)
      // One wrong passphrase in some eighty looks right until the integrity check: then it is `tampered`.
      await assert.rejects(openWith(message, PASSPHRASE.replace("0", "1")), (error: unknown) => {
        return isFault(error, "refused") || isFault(error, "tampered")
      })
      assert.equal((await openWith(message)).toString(), "secret")
    })

    test("a flipped bit, a cut, an addition and a changed order are found", async () => {
      const plain = randomBytes(300_000)
      const message = await seal(plain, [who.alice.certificate], PASSPHRASE)
      const data = walkPackets(message, "message").at(-1)
      const alice = await reader.privateOpener(who.alice.secretKey)
      assert.ok(data !== undefined)
      const bad = [
        flipped(message, data.body + 30),
        flipped(message, 150_000),
        flipped(message, message.length - 1),
        message.subarray(0, -1),
        message.subarray(0, 200_000),
        message.subarray(0, data.body),
        Buffer.concat([message, Uint8Array.of(0)]),
        Buffer.concat([message, message]),
        Buffer.concat([message.subarray(data.start), message.subarray(0, data.start)]),
      ]
      for (const [i, each] of bad.entries()) {
        await assert.rejects(openWith(each), tampered, `by passphrase, ${i}`)
        await assert.rejects(alice.open(each, "message", signal), tampered, `by key, ${i}`)
      }
      assert.ok((await openWith(message)).equals(plain))
    })

    test("SEIPD version 2 and tag 20 are refused before any program sees them", async () => {
      const alicesKey = await pgp.readKey({ armoredKey: Buffer.from(who.alice.certificate.bytes).toString() })
      const newer: unknown = await pgp.encrypt({
        message: await pgp.createMessage({ binary: bytes("new") }),
        encryptionKeys: alicesKey.toPublic(),
        sessionKey: { data: randomBytes(32), algorithm: "aes256", aeadAlgorithm: "gcm" },
        format: "binary",
      })
      const alice = await reader.privateOpener(who.alice.secretKey)
      await assert.rejects(alice.open(newer as Uint8Array, "message", signal), tampered)
      const message = await seal(bytes("old"), [who.alice.certificate], PASSPHRASE)
      const data = walkPackets(message, "message").at(-1)
      for (const tag of [20, 9]) {
        const other = Uint8Array.from(message)
        other[data?.start ?? 0] = 0xc0 | tag
        await assert.rejects(openWith(other), tampered)
        await assert.rejects(alice.open(other, "message", signal), tampered)
      }
      assert.equal(Buffer.from(await alice.open(message, "message", signal)).toString(), "old")
    })

    test("detached signatures count, by primary key and by signing subkey", async () => {
      const signed = randomBytes(100_000)
      for (const key of [who.source, who.alice, who.withSubkey]) {
        const signer = await maker.signer(key.secretKey)
        assert.equal(signer.fingerprint, key.certificate.fingerprint)
        const signature = await signer.detached(signed, signal)
        await reader.verifier.detached(signed, signature, key.certificate, "file", signal)
        await assert.rejects(
          reader.verifier.detached(flipped(signed, 5), signature, key.certificate, "file", signal),
          refused,
        )
        await assert.rejects(reader.verifier.detached(signed, signature, who.bob.certificate, "file", signal), refused)
      }
    })

    test("a signature is one packet: none, two, cut or with bytes after it do not count", async () => {
      const signed = bytes("text")
      const by = who.source.certificate
      const signature = await (await maker.signer(who.source.secretKey)).detached(signed, signal)
      const armoured = (await pgp.readSignature({ binarySignature: Uint8Array.from(signature) })).armor()
      const bad = [
        new Uint8Array(0),
        Buffer.concat([signature, signature]),
        signature.subarray(0, -1),
        Buffer.concat([signature, Uint8Array.of(10)]),
        flipped(signature, signature.length - 3),
        flipped(signature, 2),
        bytes(armoured),
      ]
      for (const each of bad) await assert.rejects(reader.verifier.detached(signed, each, by, "file", signal), refused)
      await reader.verifier.detached(signed, signature, by, "file", signal)
    })

    test("a signature of class 01 does not count", async () => {
      const text = await rawSignature(who.source, { text: "a line" })
      const by = who.source.certificate
      await assert.rejects(reader.verifier.detached(bytes("a line"), text, by, "file", signal), refused)
      const same = await rawSignature(who.source, { binary: bytes("a line") })
      await reader.verifier.detached(bytes("a line"), same, by, "file", signal)
    })

    test("an expired key counts only where it may be expired", async () => {
      const signed = bytes("text")
      const by = who.expired.certificate
      const signature = await rawSignature(who.expired, { binary: signed }, whenGood)
      await assert.rejects(reader.verifier.detached(signed, signature, by, "file", signal), refused)
      await reader.verifier.detached(signed, signature, by, "file", signal, { expiredKey: true })
      const changed = bytes("tent")
      await assert.rejects(
        reader.verifier.detached(changed, signature, by, "file", signal, { expiredKey: true }),
        refused,
      )
    })

    test("a revoked key does not count, even for what it signed before", async () => {
      const signed = bytes("text")
      const signature = await rawSignature(who.revoked, { binary: signed }, whenGood)
      const { revoked, beforeRevocation } = who
      for (const options of [{}, { expiredKey: true }]) {
        const verifying = reader.verifier.detached(signed, signature, revoked.certificate, "file", signal, options)
        await assert.rejects(verifying, refused)
      }
      await reader.verifier.detached(signed, signature, beforeRevocation.certificate, "file", signal)
    })

    test("a foreign signing subkey counts for a certificate only with that subkey's own consent", async () => {
      const signed = bytes("text")
      const signature = await (await maker.signer(who.withSubkey.secretKey)).detached(signed, signal)
      await reader.verifier.detached(signed, signature, who.withSubkey.certificate, "file", signal)
      const stolen = await adopting(who.bob, who.withSubkey, false)
      await assert.rejects(reader.verifier.detached(signed, signature, stolen, "file", signal), refused)
      const given = await adopting(who.bob, who.withSubkey, true)
      await reader.verifier.detached(signed, signature, given, "file", signal)
    })

    test("signed messages, plain and encrypted, give their content to the right reader only", async () => {
      const content = randomBytes(200_000)
      const signer = await maker.signer(who.alice.secretKey)
      const plain = await signer.message(content, null, signal)
      assert.ok(content.equals(await reader.verifier.message(plain, who.alice.certificate, "request", signal)))
      await assert.rejects(reader.verifier.message(plain, who.bob.certificate, "request", signal), refused)
      await assert.rejects(
        reader.verifier.message(flipped(plain, 100_000), who.alice.certificate, "request", signal),
        refused,
      )
      await assert.rejects(
        reader.verifier.message(Buffer.concat([plain, plain]), who.alice.certificate, "r", signal),
        refused,
      )

      const sealed = await signer.message(content, who.bob.certificate, signal)
      const bob = await reader.privateOpener(who.bob.secretKey)
      const inner = await bob.unwrap(sealed, "release", signal)
      assert.ok(content.equals(await reader.verifier.message(inner, who.alice.certificate, "release", signal)))
      assert.ok(content.equals(await bob.open(sealed, "release", signal)))
      const alice = await reader.privateOpener(who.alice.secretKey)
      await assert.rejects(alice.unwrap(sealed, "release", signal), refused)
      await assert.rejects(bob.unwrap(flipped(sealed, 100_000), "release", signal), tampered)
      const unsigned = await bob.unwrap(await seal(content, [who.bob.certificate], null), "release", signal)
      await assert.rejects(reader.verifier.message(unsigned, who.alice.certificate, "release", signal), refused)
    })

    test("an armoured and compressed signed message counts: people make them by hand", async () => {
      const inner = await (await maker.signer(who.alice.secretKey)).message(bytes("by hand"), null, signal)
      const body = Buffer.concat([Uint8Array.of(1), deflateRawSync(inner)])
      const packed = Buffer.concat([Uint8Array.of(0xc0 | 8, 255, 0, 0, body.length >> 8, body.length & 0xff), body])
      const armoured = bytes(pgp.armor(pgp.enums.armor.message, packed))
      const read = (each: Uint8Array) => reader.verifier.message(each, who.alice.certificate, "request", signal)
      assert.equal(Buffer.from(await read(armoured)).toString(), "by hand")
      await assert.rejects(read(Buffer.concat([armoured, bytes("more")])), refused)
    })

    test("a certificate file is described", async () => {
      const look = (key: { certificate: Certificate }) =>
        reader.verifier.certificate(key.certificate.bytes, "file", signal)
      const alice = await look(who.alice)
      assert.equal(alice.fingerprint, who.alice.certificate.fingerprint)
      assert.deepEqual([...alice.userIds], ["Alice Ärmel <alice@example.org>"])
      assert.deepEqual([alice.canEncrypt, alice.canSign, alice.expires, alice.revoked], [true, true, null, false])
      const source = await look(who.source)
      assert.deepEqual([source.canEncrypt, source.canSign], [false, true])
      const expired = await look(who.expired)
      assert.deepEqual([expired.canEncrypt, expired.canSign, expired.revoked], [false, false, false])
      assert.equal(expired.expires?.getTime(), whenGood.getTime() + 86_400_000)
      const revoked = await look(who.revoked)
      assert.deepEqual([revoked.canEncrypt, revoked.canSign, revoked.revoked], [false, false, true])
    })

    test("a certificate file holds one certificate of version 4 and nothing else", async () => {
      const alice = await binary(who.alice.certificate)
      const bob = await binary(who.bob.certificate)
      const armoured = who.alice.certificate.bytes
      const bad = {
        "two certificates": Buffer.concat([alice, bob]),
        "two blocks of armour": Buffer.concat([armoured, who.bob.certificate.bytes]),
        "text before": Buffer.concat([bytes("see below\n"), armoured]),
        "text after": Buffer.concat([armoured, bytes("see above\n")]),
        "bytes after": Buffer.concat([alice, Uint8Array.of(0)]),
        "a secret key": who.alice.secretKey,
        "a binary secret key": (await pgp.readKey({ armoredKey: Buffer.from(who.alice.secretKey).toString() })).write(),
        "version 6": who.six.certificate.bytes,
        "a cut": alice.subarray(0, -1),
        "a key without a user id": alice.subarray(0, walkPackets(alice, "certificate")[0]?.end),
        nothing: new Uint8Array(0),
      }
      for (const [what, each] of Object.entries(bad)) {
        await assert.rejects(reader.verifier.certificate(each, "file", signal), refused, what)
      }
      await reader.verifier.certificate(alice, "file", signal)
      await reader.verifier.certificate(armoured, "file", signal)
    })

    test("a certificate with another appended, or of another fingerprint, verifies nothing", async () => {
      const signed = bytes("text")
      const signature = await (await maker.signer(who.alice.secretKey)).detached(signed, signal)
      const { fingerprint } = who.alice.certificate
      const appended = Buffer.concat([await binary(who.alice.certificate), await binary(who.bob.certificate)])
      for (const each of [
        { fingerprint, bytes: appended },
        { fingerprint, bytes: who.bob.certificate.bytes },
      ]) {
        await assert.rejects(reader.verifier.detached(signed, signature, each, "file", signal), refused)
      }
      await reader.verifier.detached(signed, signature, who.alice.certificate, "file", signal)
    })
  })
}

// The door that seals: makes messages as docs/format.md, section 4, has them, through gpg or OpenPGP.js. It needs no
// private key and no keyring. What leaves was checked packet by packet to be for exactly these certificates, in this
// order, in the one accepted form; that it opens is for the caller to try (`open-passphrase`).

import { randomBytes } from "node:crypto"
import { ReadableStream } from "node:stream/web"
import { BackupError } from "@backup-cloud/format"
import type { PublicKey } from "openpgp"
import type { Sealer, SealTo } from "./doors.ts"
import { all, type Ending, EXTRA, type GpgRun, has, runGpg } from "./gpg.ts"
import type { GpgHome } from "./home.ts"
import { type Library, library, policy } from "./js.ts"
import { passphraseBytes } from "./passphrase.ts"
import { checkSealed, type SealedTo } from "./sealed.ts"
import { type Structure, structureOf } from "./structure.ts"

/** Certificates whose form was looked at, by identity: a backup seals to the same ones each time. */
type Known = WeakMap<object, Structure>

function recipients(to: SealTo, known: Known): readonly Structure[] {
  const structures = to.certificates.map((certificate) => {
    const structure = known.get(certificate) ?? structureOf(certificate)
    known.set(certificate, structure)
    return structure
  })
  if (structures.length === 0 && to.passphrase === null) {
    throw new BackupError("usage", "nobody is given to seal to: neither a certificate nor a passphrase")
  }
  if (new Set(structures.map((s) => s.fingerprint)).size !== structures.length) {
    throw new BackupError("usage", "a certificate to seal to is given twice")
  }
  return structures
}

function sealedTo(structures: readonly Structure[], to: SealTo): SealedTo {
  return { keyIds: structures.map((structure) => structure.keyIds), passphrase: to.passphrase !== null }
}

const sealOptions = [
  // Before the others, because it sets them; without each of them named, gpg 2.4 makes messages nobody opens.
  "--rfc4880",
  "--cipher-algo=AES256",
  "--s2k-cipher-algo=AES256",
  "--s2k-digest-algo=SHA256",
  "--s2k-mode=3",
  "--s2k-count=1088",
  "--compress-algo=none",
  "--no-encrypt-to",
  "--pinentry-mode=loopback",
  "--output=-",
]

function judgeSealing(to: readonly Structure[], ending: Ending): void {
  const refused = all(ending, "INV_RECP")[0]
  const began = all(ending, "BEGIN_ENCRYPTION")[0]
  if (refused !== undefined) {
    throw new BackupError("refused", `cannot seal to ${refusedName(to, refused.args[1])}: no key in it can be used`, {
      cause: ending.said,
      hint: "it may be expired, revoked, or have no encryption key: ask its holder for a new one",
    })
  }
  if (ending.code !== 0 || began === undefined || !has(ending, "END_ENCRYPTION")) {
    throw new BackupError("unavailable", "gpg could not seal", { cause: ending.said })
  }
  // Integrity protected by an MDC, AES-256.
  if (began.args[0] !== "2" || began.args[1] !== "9") {
    throw new BackupError("unavailable", "gpg sealed with other algorithms than asked for", { cause: ending.said })
  }
}

/** gpg names a refused certificate by the descriptor it was read from. */
function refusedName(to: readonly Structure[], descriptor = ""): string {
  return to[Number(/^-&([0-9]+)$/.exec(descriptor)?.[1]) - EXTRA]?.fingerprint ?? "a certificate"
}

/** Streams through one gpg process a message. @param home a temporary one; its keyring stays empty */
export function gpgSealer(home: GpgHome): Sealer {
  const known: Known = new WeakMap()
  const runOf = (structures: readonly Structure[], plain: AsyncIterable<Uint8Array>, to: SealTo): GpgRun => {
    const files = to.certificates.map((certificate) => certificate.bytes)
    const args = [...sealOptions, ...files.map((_, i) => `--recipient-file=-&${EXTRA + i}`)]
    if (files.length > 0) args.push("--encrypt")
    if (to.passphrase !== null) args.push(`--passphrase-fd=${EXTRA + files.length}`, "--symmetric")
    const extra = to.passphrase === null ? files : [...files, passphraseBytes(to.passphrase)]
    return { args, input: plain, extra, judge: judgeSealing.bind(null, structures) }
  }
  return {
    async *seal(plain, to, signal) {
      const structures = recipients(to, known)
      yield* checkSealed(runGpg(home, runOf(structures, plain, to), signal), sealedTo(structures, to))
    },
    async sealInto(spool, plain, to, signal) {
      const structures = recipients(to, known)
      // It yields nothing, so this is its end.
      await runGpg(home, { ...runOf(structures, plain, to), output: spool }, signal).next()
      return sealedTo(structures, to)
    },
  }
}

/** Streams through OpenPGP.js. */
export function jsSealer(): Sealer {
  const known: Known = new WeakMap()
  const sealer: Sealer = {
    async *seal(plain, to, signal) {
      const structures = recipients(to, known)
      if (to.passphrase !== null) passphraseBytes(to.passphrase) // refuses what gpg could not be given
      const pgp = await library()
      const config = await policy(pgp)
      const encryptionKeys = await Promise.all(structures.map((structure) => encryptionKey(pgp, structure)))
      const message = await pgp.createMessage({
        binary: ReadableStream.from(copiesOf(plain, signal)),
        format: "binary",
      })
      const sealed: unknown = await pgp.encrypt({
        message,
        encryptionKeys,
        passwords: to.passphrase === null ? [] : [to.passphrase],
        // Given, so that no certificate's preferences can choose another algorithm or SEIPD version 2.
        sessionKey: { data: randomBytes(32), algorithm: "aes256" },
        format: "binary",
        config,
      })
      yield* checkSealed(sealed as AsyncIterable<Uint8Array>, sealedTo(structures, to))
      signal.throwIfAborted()
    },
    async sealInto(spool, plain, to, signal) {
      for await (const piece of sealer.seal(plain, to, signal)) await spool.writeFile(piece)
      return sealedTo(recipients(to, known), to)
    },
  }
  return sealer
}

/** Copies, since the library asks for pieces ahead, and joins small ones, while the memory they came in is used again. */
async function* copiesOf(plain: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const piece of plain) {
    signal.throwIfAborted()
    yield Uint8Array.from(piece)
  }
}

async function encryptionKey(pgp: Library, structure: Structure): Promise<PublicKey> {
  try {
    const key = await pgp.readKey({ binaryKey: Uint8Array.from(structure.binary) })
    await key.getEncryptionKey()
    return key.toPublic()
  } catch (cause) {
    throw new BackupError("refused", `cannot seal to ${structure.fingerprint}: no key in it can be used`, {
      cause,
      hint: "it may be expired, revoked, or have no encryption key: ask its holder for a new one",
    })
  }
}

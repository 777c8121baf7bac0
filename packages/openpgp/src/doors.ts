// The five doors. Each is a capability of its own: what holds a `Sealer` can seal and nothing else, and a package may
// import only the doors its row in the design names. Each is there twice, through `gpg` and through OpenPGP.js; both
// keep this contract. Nothing outside this package touches OpenPGP.
//
// Faults, for all: `tampered` when a message is not what it must be; `refused` when a key or signature is not one that
// counts; `unavailable` when the program or card cannot be used (hint: what to do); `usage` for arguments.

import type { FileHandle } from "node:fs/promises"
import type { SealedTo } from "./sealed.ts"

/** One certificate, alone in its file. */
export interface Certificate {
  /** Of the primary key, 40 upper-case hex digits. */
  readonly fingerprint: string
  /** As in the archive, normally ASCII-armoured. */
  readonly bytes: Uint8Array
}

export interface SealTo {
  /** A PKESK for each, in this order. */
  readonly certificates: readonly Certificate[]
  /** An SKESK for it, or none. At least one of the two must be given. */
  readonly passphrase: string | null
}

/** Makes messages as docs/format.md, section 4, has them, and nothing else. */
export interface Sealer {
  /**
   * The sealed message of `plain`, in pieces. The packet tags of the output are checked before the first piece leaves.
   * The message is whole only when the iteration ends without a throw. A piece of `plain` was taken, and may be used
   * again, when the next is asked for; the same holds for the pieces that come out.
   */
  seal(plain: AsyncIterable<Uint8Array>, to: SealTo, signal: AbortSignal): AsyncIterable<Uint8Array>
  /**
   * The same into an empty file, open for writing. Whoever reads the message from it has it checked there by `checkSealed`,
   * with what this resolves to.
   */
  sealInto(spool: FileHandle, plain: AsyncIterable<Uint8Array>, to: SealTo, signal: AbortSignal): Promise<SealedTo>
}

export interface Signer {
  /** Of the primary key. */
  readonly fingerprint: string
  /** A detached binary signature of `bytes`: one packet, class 00, SHA-256 or better. */
  detached(bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** One message: `bytes`, signed, and encrypted if `to` is given. `gpg -d` shows the bytes. */
  message(bytes: Uint8Array, to: Certificate | null, signal: AbortSignal): Promise<Uint8Array>
}

export interface VerifyOptions {
  /** Accept a key that is expired now, as for sources: the policy says until when it counts. Default false. */
  readonly expiredKey?: boolean
}

/** Checks signatures, each in an empty home that holds the one certificate (docs/format.md, section 3). */
export interface Verifier {
  /** Returns if `signature` counts for `bytes`; throws `refused` naming `object` if not. */
  detached(
    bytes: Uint8Array,
    signature: Uint8Array,
    by: Certificate,
    object: string,
    signal: AbortSignal,
    options?: VerifyOptions,
  ): Promise<void>
  /** The content of a signed message, after its signature was found to count; throws `refused` if it does not. */
  message(message: Uint8Array, by: Certificate, object: string, signal: AbortSignal): Promise<Uint8Array>
  /**
   * Reads a file that must hold exactly one certificate, version 4, and no secret key; throws `refused` otherwise.
   * `canEncrypt`: it has a key now valid to encrypt to; `canSign`: one now valid to sign with.
   */
  certificate(bytes: Uint8Array, object: string, signal: AbortSignal): Promise<CertificateInfo>
}

export interface CertificateInfo extends Certificate {
  readonly userIds: readonly string[]
  readonly canEncrypt: boolean
  readonly canSign: boolean
  /** The earliest time at which it stops to be usable; `null` for never. */
  readonly expires: Date | null
  readonly revoked: boolean
}

export interface PassphraseOpener {
  /**
   * The plaintext in pieces. NOTHING may be done with a piece that can't be undone until the iteration has ended
   * without a throw: a manipulated message gives bytes first and throws `tampered` last. The gpg door streams; the
   * OpenPGP.js door holds the whole message and yields only after it was found whole. A piece is valid until the next is
   * asked for.
   */
  open(message: AsyncIterable<Uint8Array>, passphrase: string, signal: AbortSignal): AsyncIterable<Uint8Array>
}

export interface SessionKeyOpener {
  /**
   * The plaintext in pieces, with the reserve of `PassphraseOpener.open`.
   * @param sessionKey of AES-256, 64 lower-case hex digits
   */
  open(message: AsyncIterable<Uint8Array>, sessionKey: string, signal: AbortSignal): AsyncIterable<Uint8Array>
}

export interface PrivateOpener {
  /** The plaintext of a short message (at most 64 MiB), once whole. Throws `refused` if no private key here opens it. */
  open(message: Uint8Array, object: string, signal: AbortSignal): Promise<Uint8Array>
  /** As `open`, of a message that is signed within: the signed message, for `Verifier.message`. */
  unwrap(message: Uint8Array, object: string, signal: AbortSignal): Promise<Uint8Array>
  /**
   * The session key in key packets alone, without the data that they belong to: 64 lower-case hex digits. Throws `refused`
   * if no private key here opens one, or if the key is not of AES-256.
   */
  sessionKey(pkesks: Uint8Array, object: string, signal: AbortSignal): Promise<string>
}

// The door that opens by a passphrase: a released object's, or the source's own. It has no private key and looks for
// none: the PKESKs are taken out before gpg sees the message, so not even an agent is started.

import { BackupError } from "@backup-cloud/format"
import type { PassphraseOpener } from "./doors.ts"
import { type Ending, EXTRA, runGpg } from "./gpg.ts"
import type { GpgHome } from "./home.ts"
import { library, policy } from "./js.ts"
import { damaged, judgeOpening } from "./opening.ts"
import { type SealedParts, splitSealed, TAG } from "./packets.ts"
import { passphraseBytes } from "./passphrase.ts"

const OBJECT = "the sealed object"

const refused = (cause: unknown): BackupError =>
  new BackupError("refused", `${OBJECT} does not open with this passphrase`, { cause })

/** The message without its PKESKs. */
async function* withoutPkesks(parts: SealedParts): AsyncGenerator<Uint8Array> {
  const skesk = parts.keys.find((key) => key.tag === TAG.skesk)
  if (skesk === undefined) throw new BackupError("refused", `${OBJECT} is not sealed with a passphrase`)
  yield skesk.bytes
  yield* parts.data
}

/** Streams through one gpg process a message. @param home a temporary one */
export function gpgPassphraseOpener(home: GpgHome): PassphraseOpener {
  return {
    async *open(message, passphrase, signal) {
      const extra = [passphraseBytes(passphrase)]
      const parts = await splitSealed(message, OBJECT)
      try {
        const args = [
          "--pinentry-mode=loopback",
          `--passphrase-fd=${EXTRA}`,
          "--output=-",
          "--skip-verify",
          "--decrypt",
        ]
        const judge = (ending: Ending): void => {
          judgeOpening(ending, OBJECT, refused)
        }
        yield* runGpg(home, { args, input: withoutPkesks(parts), extra, judge }, signal)
      } finally {
        await parts.close()
      }
    },
  }
}

/** Streams through OpenPGP.js. */
export function jsPassphraseOpener(): PassphraseOpener {
  return {
    async *open(message, passphrase, signal) {
      passphraseBytes(passphrase)
      const parts = await splitSealed(message, OBJECT)
      try {
        const pgp = await library()
        // What comes out counts for nothing before the end, as of the other door.
        const config = { ...(await policy(pgp)), allowUnauthenticatedStream: true }
        const failures: unknown[] = []
        const input = ReadableStream.from(keeping(withoutPkesks(parts), failures, signal))
        let data: AsyncIterable<Uint8Array>
        try {
          const sealed = await pgp.readMessage({ binaryMessage: input, config })
          const sessionKeys = await pgp.decryptSessionKeys({ message: sealed, passwords: passphrase, config })
          const usable = sessionKeys.flatMap((key) =>
            key.algorithm === null ? [] : [{ ...key, algorithm: key.algorithm }],
          )
          const opened = await pgp.decrypt({ message: sealed, sessionKeys: usable, format: "binary", config })
          data = opened.data as unknown as AsyncIterable<Uint8Array>
        } catch (cause) {
          throw failures[0] ?? refused(cause)
        }
        const pieces = data[Symbol.asyncIterator]()
        for (;;) {
          const next = await pieces.next().catch((cause: unknown) => {
            throw failures[0] ?? damaged(OBJECT, cause)
          })
          if (next.done === true) break
          yield next.value
        }
        signal.throwIfAborted()
      } finally {
        await parts.close()
      }
    },
  }
}

/** Copies, since the library takes pieces ahead; what the input throws is kept, apart from what the library does. */
async function* keeping(
  input: AsyncIterable<Uint8Array>,
  failures: unknown[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of input) {
      signal.throwIfAborted()
      yield Uint8Array.from(piece)
    }
  } catch (error) {
    failures.push(error)
    throw error
  }
}

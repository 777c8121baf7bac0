// The door that opens by a passphrase: a released object's, or the source's own. It has no private key and looks for
// none: the PKESKs are taken out before gpg sees the message, so not even an agent is started.

import { BackupError } from "@backup-cloud/format"
import type { PassphraseOpener } from "./doors.ts"
import { type Ending, EXTRA, gather, runGpg } from "./gpg.ts"
import type { GpgHome } from "./home.ts"
import { library, MOST_MESSAGE, policy } from "./js.ts"
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

/** Through OpenPGP.js, in memory: at most 64 MiB, and all of it or nothing. */
export function jsPassphraseOpener(): PassphraseOpener {
  return {
    async *open(message, passphrase, signal) {
      passphraseBytes(passphrase)
      const parts = await splitSealed(message, OBJECT)
      let bytes: Uint8Array
      try {
        bytes = await gather(withoutPkesks(parts), MOST_MESSAGE, OBJECT)
      } finally {
        await parts.close()
      }
      signal.throwIfAborted()
      const pgp = await library()
      const config = await policy(pgp)
      let sessionKeys: Awaited<ReturnType<typeof pgp.decryptSessionKeys>>
      try {
        const sealed = await pgp.readMessage({ binaryMessage: bytes, config })
        sessionKeys = await pgp.decryptSessionKeys({ message: sealed, passwords: passphrase, config })
      } catch (cause) {
        throw refused(cause)
      }
      const usable = sessionKeys.flatMap((key) =>
        key.algorithm === null ? [] : [{ ...key, algorithm: key.algorithm }],
      )
      let data: Uint8Array
      try {
        const sealed = await pgp.readMessage({ binaryMessage: bytes, config })
        data = (await pgp.decrypt({ message: sealed, sessionKeys: usable, format: "binary", config }))
          .data as Uint8Array
      } catch (cause) {
        throw damaged(OBJECT, cause)
      }
      signal.throwIfAborted()
      yield data
    },
  }
}

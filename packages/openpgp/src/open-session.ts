// The door that opens by a session key: of a file that was sealed outside of runs, whose key packets a holder has opened. It
// needs no private key and no passphrase.

import { BackupError, patterns } from "@backup-cloud/format"
import type { SessionKeyOpener } from "./doors.ts"
import { type Ending, EXTRA, gather, runGpg } from "./gpg.ts"
import type { GpgHome } from "./home.ts"
import { library, MOST_MESSAGE, policy } from "./js.ts"
import { damaged, judgeOpening } from "./opening.ts"

const OBJECT = "the sealed file"

const refused = (cause: unknown): BackupError =>
  new BackupError("refused", `${OBJECT} does not open with the session key given`, { cause })

function expectKey(sessionKey: string): void {
  if (!patterns.digest.test(sessionKey)) throw new BackupError("usage", "a session key has 64 hex digits")
}

/** Streams through one gpg process a message. @param home a temporary one */
export function gpgSessionKeyOpener(home: GpgHome): SessionKeyOpener {
  return {
    async *open(message, sessionKey, signal) {
      expectKey(sessionKey)
      const extra = [new TextEncoder().encode(`9:${sessionKey}\n`)]
      const args = [`--override-session-key-fd=${EXTRA}`, "--output=-", "--skip-verify", "--decrypt"]
      const judge = (ending: Ending): void => {
        judgeOpening(ending, OBJECT, refused)
      }
      yield* runGpg(home, { args, input: message, extra, judge }, signal)
    },
  }
}

/** Through OpenPGP.js, in memory: at most 64 MiB, and all of it or nothing. */
export function jsSessionKeyOpener(): SessionKeyOpener {
  return {
    async *open(message, sessionKey, signal) {
      expectKey(sessionKey)
      const binaryMessage = await gather(message, MOST_MESSAGE, OBJECT)
      signal.throwIfAborted()
      const pgp = await library()
      const config = await policy(pgp)
      const sessionKeys = [{ data: Buffer.from(sessionKey, "hex"), algorithm: "aes256" as const }]
      let data: Uint8Array
      try {
        const sealed = await pgp.readMessage({ binaryMessage, config })
        data = (await pgp.decrypt({ message: sealed, sessionKeys, format: "binary", config })).data as Uint8Array
      } catch (cause) {
        throw damaged(OBJECT, cause)
      }
      signal.throwIfAborted()
      yield data
    },
  }
}

// The door that opens with a private key: a holder's `key.gpg`, an operator's release. Short messages only, all or
// nothing. gpg finds the key in keyring, agent or smartcard and asks for its PIN itself; nothing of that passes here.

import { BackupError } from "@backup-cloud/format"
import { binaryOf } from "./armor.ts"
import type { PrivateOpener } from "./doors.ts"
import { all, type Ending, gather, gpgOutput, has } from "./gpg.ts"
import type { GpgHome } from "./home.ts"
import { library, MOST_MESSAGE, policy, readSecretKey, withAllPackets } from "./js.ts"
import { damaged, judgeOpening } from "./opening.ts"
import { splitSealed, TAG } from "./packets.ts"

const noKey = (object: string, cause?: unknown): BackupError =>
  new BackupError("refused", `${object}: no private key here opens it`, {
    cause,
    hint: "give the keyring that holds the key, or insert the card; see `gpg --list-secret-keys`",
  })

/** The message without its SKESK, so that nobody is asked for a passphrase that is not a key's. */
async function forPrivateKey(message: Uint8Array, object: string): Promise<Uint8Array> {
  const binary = binaryOf(message, "MESSAGE", object, "tampered")
  const parts = await splitSealed(once(binary), object)
  const data = await gather(parts.data, MOST_MESSAGE, object)
  const pkesks = parts.keys.filter((key) => key.tag === TAG.pkesk)
  if (pkesks.length === 0) throw noKey(object)
  return Buffer.concat([...pkesks.map((key) => key.bytes), data])
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** libgpg-error's number for a missing secret key; the bits above 16 name the component. */
const NO_SECKEY = 17

function judge(object: string, ending: Ending): void {
  const errors = all(ending, "ERROR").filter((line) => line.args[0] === "pkdecrypt_failed")
  const unusable = errors.some((line) => (Number(line.args[1]) & 0xffff) !== NO_SECKEY)
  if (unusable && !has(ending, "DECRYPTION_INFO")) {
    throw new BackupError("unavailable", `${object}: the private key for it could not be used`, {
      cause: ending.said,
      hint: "check that the agent, the card and the PIN entry work, and that the PIN was not cancelled",
    })
  }
  judgeOpening(ending, object, (cause) => noKey(object, cause))
}

/** An encrypted packet, version 1, that holds nothing: what follows key packets in a message, in place of the real one. */
function withEmptyData(pkesks: Uint8Array): Uint8Array {
  return Buffer.concat([pkesks, Uint8Array.of(0xd2, 65, 1), new Uint8Array(64)])
}

/** A session key, by the way that failures go. */
class Found extends Error {
  readonly sessionKey: string

  constructor(sessionKey: string) {
    super("gpg has the session key")
    this.sessionKey = sessionKey
  }
}

const otherCipher = (object: string): BackupError =>
  new BackupError("refused", `${object}: is not encrypted with AES-256, and cannot be released`, {
    hint: "open it where the key is: gpg -d",
  })

/** @param home a person's, or a temporary one that a key was imported into */
export function gpgPrivateOpener(home: GpgHome): PrivateOpener {
  const run = async (
    message: Uint8Array,
    object: string,
    signal: AbortSignal,
    ...args: string[]
  ): Promise<Uint8Array> => {
    const input = await forPrivateKey(message, object)
    const judged = { args: [...args, "--output=-", "--decrypt"], input, agent: true, judge: judge.bind(null, object) }
    return gpgOutput(home, judged, MOST_MESSAGE, signal)
  }
  return {
    open: (message, object, signal) => run(message, object, signal, "--skip-verify"),
    unwrap: (message, object, signal) => run(message, object, signal, "--unwrap"),
    async sessionKey(pkesks, object, signal) {
      const args = [
        "--show-session-key",
        // For people it says the key as well, and what it says may come to be a cause.
        "--logger-file=/dev/null",
        "--output=-",
        "--skip-verify",
        "--decrypt",
      ]
      // What follows the key packets is no message, so gpg fails, before or after it has read it to the end.
      const judgeKey = (ending: Ending): never => {
        const found = all(ending, "SESSION_KEY")[0]?.args[0]
        if (found !== undefined) throw new Found(found)
        judge(object, ending)
        throw noKey(object)
      }
      const input = withEmptyData(pkesks)
      const found: unknown = await gpgOutput(
        home,
        { args, input, agent: true, judge: judgeKey },
        MOST_MESSAGE,
        signal,
      ).catch((error: unknown) => error)
      if (!(found instanceof Found)) throw found
      const [cipher, key = ""] = found.sessionKey.split(":")
      if (cipher !== "9" || !/^[0-9A-F]{64}$/i.test(key)) throw otherCipher(object)
      return key.toLowerCase()
    },
  }
}

/** @param secretKey unprotected, as `generateKey` makes it */
export function jsPrivateOpener(secretKey: Uint8Array): PrivateOpener {
  const decrypted = async (message: Uint8Array, object: string, signal: AbortSignal) => {
    const binaryMessage = await forPrivateKey(message, object)
    signal.throwIfAborted()
    const pgp = await library()
    const config = await policy(pgp)
    const decryptionKeys = await readSecretKey(pgp, secretKey)
    const read = () => pgp.readMessage({ binaryMessage, config })
    const sessionKeys = await pgp
      .decryptSessionKeys({ message: await read(), decryptionKeys, config })
      .catch((cause: unknown) => {
        throw noKey(object, cause)
      })
    const usable = sessionKeys.flatMap((key) => (key.algorithm === null ? [] : [{ ...key, algorithm: key.algorithm }]))
    try {
      const sealed = await read()
      return await withAllPackets(await sealed.decrypt([], [], usable, undefined, { ...pgp.config, ...config }))
    } catch (cause) {
      throw damaged(object, cause)
    }
  }
  return {
    async open(message, object, signal) {
      const data: unknown = (await decrypted(message, object, signal)).getLiteralData()
      if (!(data instanceof Uint8Array)) throw new BackupError("tampered", `${object}: holds no data`)
      return data
    },
    async unwrap(message, object, signal) {
      const inner: unknown = (await decrypted(message, object, signal)).write()
      if (!(inner instanceof Uint8Array)) throw new BackupError("tampered", `${object}: holds no data`)
      return inner
    },
    async sessionKey(pkesks, object, signal) {
      signal.throwIfAborted()
      const pgp = await library()
      const config = await policy(pgp)
      const decryptionKeys = await readSecretKey(pgp, secretKey)
      const message = await pgp.readMessage({ binaryMessage: withEmptyData(pkesks), config })
      const [found] = await pgp.decryptSessionKeys({ message, decryptionKeys, config }).catch((cause: unknown) => {
        throw noKey(object, cause)
      })
      if (found?.algorithm !== "aes256") throw otherCipher(object)
      return Buffer.from(found.data).toString("hex")
    },
  }
}

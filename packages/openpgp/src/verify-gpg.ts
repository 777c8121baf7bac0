// Verifying through gpg, in a home for each certificate that holds nothing else. Homes are kept until the verifier is
// disposed of, because `verify` of an archive checks a hundred thousand signatures by a few keys.

import { createHash } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import type { Certificate, CertificateInfo, Verifier, VerifyOptions } from "./doors.ts"
import { all, type Ending, EXTRA, gpgOutput } from "./gpg.ts"
import { type GpgHome, openGpgHome } from "./home.ts"
import { MOST_MESSAGE } from "./js.ts"
import { checkSignatureFile } from "./packets.ts"
import { certificateStructure, structureOf } from "./structure.ts"
import { earliestLoss, refuse, signedMessage } from "./verifying.ts"

const strongHashes: readonly (string | undefined)[] = ["8", "9", "10"]

/** Throws `refused` unless the status lines are exactly those of one signature that counts. */
function judgeSignature(ending: Ending, fingerprint: string, object: string, options: VerifyOptions): void {
  const count = (keyword: string): number => all(ending, keyword).length
  const no = (why: string): never => refuse(object, why, ending.said)
  if (count("REVKEYSIG") > 0) no(`the key ${fingerprint} that signed it is revoked`)
  if (count("EXPKEYSIG") > 0 && options.expiredKey !== true) no(`the key ${fingerprint} that signed it is expired`)
  if (count("EXPSIG") > 0) no("the signature is expired")
  if (count("BADSIG") > 0) no("the signature is of something else")
  if (count("ERRSIG") > 0 || count("NO_PUBKEY") > 0) no(`the signature can't be checked with the key ${fingerprint}`)
  // VALIDSIG <fingerprint> <date> <time> <expires> <version> <reserved> <algorithm> <hash> <class> <primary fingerprint>
  const valid = all(ending, "VALIDSIG")[0]?.args ?? []
  const once = count("NEWSIG") === 1 && count("VALIDSIG") === 1 && count("GOODSIG") + count("EXPKEYSIG") === 1
  if (ending.code !== 0 || !once) no("does not have exactly one good signature")
  if (valid[4] !== "4" || valid[8] !== "00" || !strongHashes.includes(valid[7]))
    no("the signature is not of the right kind")
  if (valid[9] !== fingerprint) no(`was signed by ${valid[9] ?? "another key"}, not by ${fingerprint}`)
}

/**
 * @param home a temporary one in which the homes are made; one of its own unless given
 * Dispose of the verifier when done.
 */
export function gpgVerifier(home?: GpgHome): Verifier & AsyncDisposable {
  let own: Promise<GpgHome> | undefined
  const homes = new Map<string, Promise<GpgHome>>()

  async function base(): Promise<GpgHome> {
    if (home !== undefined) {
      if (!home.temporary) throw new BackupError("usage", "a person's keyring can't be used to verify")
      return home
    }
    own ??= openGpgHome()
    return own
  }

  async function makeHome(bytes: Uint8Array, object: string): Promise<GpgHome> {
    const parent = await base()
    const path = await mkdtemp(join(parent.path ?? "", "v-"))
    const made: GpgHome = { ...parent, path }
    const judge = (ending: Ending): void => {
      const imported = all(ending, "IMPORT_OK")
      if (ending.code !== 0 || imported.length !== 1) refuse(object, "holds no valid certificate", ending.said)
    }
    await gpgOutput(made, { args: ["--import"], input: bytes, judge }, 0, never)
    return made
  }

  /** The home with that one certificate, whose form was checked. */
  function homeOf(bytes: Uint8Array, object: string): Promise<GpgHome> {
    const name = createHash("sha256").update(bytes).digest("hex")
    const known = homes.get(name)
    if (known !== undefined) return known
    const made = makeHome(bytes, object)
    homes.set(name, made)
    made.catch(() => homes.delete(name))
    return made
  }

  const homeFor = (by: Certificate): Promise<GpgHome> => {
    structureOf(by)
    return homeOf(by.bytes, `certificate ${by.fingerprint}`)
  }

  return {
    async detached(bytes, signature, by, object, signal, options = {}) {
      checkSignatureFile(signature, object)
      const alone = await homeFor(by)
      const judge = (ending: Ending): void => {
        judgeSignature(ending, by.fingerprint, object, options)
      }
      const args = ["--verify", "--", `-&${EXTRA}`, "-"]
      await gpgOutput(alone, { args, input: bytes, extra: [signature], judge }, 0, signal)
    },

    async message(message, by, object, signal) {
      const input = signedMessage(message, object)
      const alone = await homeFor(by)
      const judge = (ending: Ending): void => {
        judgeSignature(ending, by.fingerprint, object, {})
        if (all(ending, "PLAINTEXT").length !== 1) refuse(object, "does not hold exactly one text", ending.said)
      }
      return gpgOutput(alone, { args: ["--output=-", "--decrypt"], input, judge }, MOST_MESSAGE, signal)
    },

    async certificate(bytes, object, signal) {
      const { fingerprint } = certificateStructure(bytes, object)
      const alone = await homeOf(bytes, object)
      const args = ["--with-colons", "--fixed-list-mode", "--list-keys"]
      const judge = (ending: Ending): void => {
        if (ending.code !== 0) refuse(object, "holds no valid certificate", ending.said)
      }
      const listing = await gpgOutput(alone, { args, input: new Uint8Array(0), judge }, 1 << 20, signal)
      return readListing(listing.toString("utf8"), { fingerprint, bytes })
    },

    async [Symbol.asyncDispose]() {
      const made = await Promise.allSettled(homes.values())
      homes.clear()
      if (own !== undefined) await (await own)[Symbol.asyncDispose]()
      else {
        const paths = made.flatMap((each) => (each.status === "fulfilled" ? [each.value.path ?? ""] : []))
        await Promise.all(paths.map((path) => rm(path, { recursive: true, force: true })))
      }
    },
  }
}

/** The import into a shared home is not any one caller's to abort. */
const never = new AbortController().signal

/** Reads `--with-colons`: record, validity, …, 7th expiry, 10th user id, 12th abilities (upper case: of the whole). */
function readListing(listing: string, certificate: Certificate): CertificateInfo {
  const records = listing.split("\n").map((line) => line.split(":"))
  const time = (field: string | undefined): Date | null =>
    field === undefined || field === "" ? null : new Date(Number(field) * 1000)
  const live = (validity: string | undefined): boolean => !["r", "e", "i", "d", "n"].includes(validity ?? "")
  const primary = records.find(([kind]) => kind === "pub") ?? []
  const keys = records
    .filter(([kind, validity]) => (kind === "pub" || kind === "sub") && live(validity))
    .map((fields) => ({
      canEncrypt: fields[11]?.includes("e") === true,
      canSign: fields[11]?.includes("s") === true,
      expires: time(fields[6]),
    }))
  const usable = live(primary[1])
  return {
    ...certificate,
    userIds: records
      .filter(([kind, validity]) => kind === "uid" && validity !== "r" && validity !== "i")
      .map((fields) => unescape(fields[9] ?? "")),
    canEncrypt: usable && keys.some((key) => key.canEncrypt),
    canSign: usable && keys.some((key) => key.canSign),
    expires: earliestLoss(time(primary[6]), usable ? keys : []),
    revoked: primary[1] === "r",
  }
}

/** Undoes the `\xNN` of a listing; the bytes are UTF-8. */
function unescape(field: string): string {
  const bytes = Buffer.from(field, "utf8").toString("latin1")
  const raw = bytes.replace(/\\x([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(raw, "latin1").toString("utf8")
}

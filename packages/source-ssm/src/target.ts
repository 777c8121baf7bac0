// Restores parameters. Each is compared with what is there first (writer.ts), and written whole when its content is known to
// be what was backed up. Until then it is in memory: a value is small.

import { BackupError, type CatalogueEntry, escapeControl, type Target } from "@backup-cloud/format"
import { Ssm, type SsmAccess } from "./access.ts"
import { fromAttributes, type MoreSettings } from "./parameter.ts"
import { nameOf } from "./paths.ts"
import { type Look, type WriteOptions, Writer } from "./writer.ts"

export interface SsmTargetOptions extends SsmAccess, WriteOptions {
  /** Put before every name: `/restored` restores `/a/b` as `/restored/a/b`. */
  readonly below?: string
  /** Key for every SecureString, instead of the one it had; an id, an ARN or an alias. */
  readonly keyId?: string
}

/** Far above what AWS takes (8 KiB), so that it says so itself; it bounds what is in memory. */
const MOST_VALUE = 65_536

/**
 * The way back. Restores value, type, description, tier, policies, data type, allowed pattern, key and tags; AWS counts
 * versions anew. What differs and is left, and what AWS refuses, are problems of `finish`: the caller exits with `differs`.
 *
 * Throws `refused` without the rights, `unavailable` if AWS does not answer; never with a value in the message.
 */
export function ssmTarget(options: SsmTargetOptions): Target {
  const ssm = new Ssm(options)
  const writer = new Writer(ssm, options)
  /** What may be written, by path: what is there, and the bytes staged. */
  const open = new Map<string, { readonly look: Look; readonly bytes: Buffer }>()
  /** Paths that were not written, so that what is there is none of ours. */
  const left = new Set<string>()
  const named = (entry: CatalogueEntry): string =>
    (options.below ?? "").replace(/\/$/, "") + slashed(nameOf(entry), options)
  const settingsOf = (entry: CatalogueEntry): MoreSettings | null => {
    const settings = fromAttributes(entry)
    const { keyId } = options
    return settings?.type === "SecureString" && keyId !== undefined ? { ...settings, keyId } : settings
  }

  return {
    async begin() {
      // Nothing is staged anywhere.
    },
    async has(entry, signal) {
      const name = named(entry)
      const settings = settingsOf(entry)
      if (settings === null || entry.sha256 === null || entry.size > MOST_VALUE) {
        writer.problem(name, "is no parameter in the backup, and was not written")
        left.add(entry.path)
        return false
      }
      const look = await writer.look(name, settings, entry.sha256, signal)
      if (look.state === "equal") return true
      if (look.state === "left") left.add(entry.path)
      else open.set(entry.path, { look, bytes: Buffer.alloc(entry.size) })
      return false
    },
    async write(entry, offset, bytes) {
      open.get(entry.path)?.bytes.set(bytes, offset)
    },
    async *read(entry, signal) {
      const inMemory = open.get(entry.path)
      if (inMemory !== undefined) {
        yield inMemory.bytes
        return
      }
      const name = named(entry)
      if (left.has(entry.path)) {
        throw new BackupError(
          "differs",
          `parameter ${escapeControl(name)} was left as it is; it is not what was backed up`,
          {
            hint: "restore with overwriting, or without verifying",
          },
        )
      }
      yield Buffer.from((await writer.read(name, signal)) ?? "", "utf8")
    },
    async commit(entry, signal) {
      const staged = open.get(entry.path)
      const settings = settingsOf(entry)
      open.delete(entry.path)
      if (staged === undefined || settings === null) return
      const value = staged.bytes.toString("utf8")
      if (!(await writer.put(named(entry), settings, value, staged.look, signal))) left.add(entry.path)
    },
    async discard(entry) {
      open.delete(entry.path)
    },
    async make(entry) {
      if (entry.type !== "d") writer.problem(named(entry), "has no value in the backup, and was not written")
    },
    finish: async () => writer.problems,
  }
}

/** Only a name that goes below another needs a slash. */
const slashed = (name: string, { below = "" }: SsmTargetOptions): string =>
  below === "" || name.startsWith("/") ? name : `/${name}`

// What a source's machine keeps in its home, for one that has no home of its own: a function, a container, a server that
// ends after each run. Keys, where the data is, and what was seen of the archive lie as parameters below one path, which
// whoever has the bucket cannot change.

import { BackupError, isFault, patterns } from "@backup-cloud/format"
import type { ParameterFolder } from "@backup-cloud/store"
import { decodeMemory, encodeMemory, type Memory, type TrustMemory } from "@backup-cloud/trust"
import * as v from "valibot"
import type { SourceSecrets } from "./secrets.ts"

const SECRET = "secret"
const KEY = "signing-key"
const NEXT_KEY = "next-signing-key"
const SOURCE = "source"
/** The only one that a backup writes. */
const TRUST = "trust"

/** `place`: as the configuration of a machine has it. */
const sourceSchema = v.strictObject({
  name: v.pipe(v.string(), v.regex(patterns.name)),
  place: v.looseObject({ url: v.string() }),
})
export type IdentifiedSource = v.InferOutput<typeof sourceSchema>

export interface Identity {
  readonly memory: TrustMemory
  /** Which source it is the identity of. Throws `not-found` if there is none. */
  source(): Promise<IdentifiedSource>
  /** Throws `not-found` if they are not there. */
  secrets(): Promise<SourceSecrets>
  /** A signing key that the policy may have by now; `null` if there is none. */
  nextKey(): Promise<Uint8Array | null>
}

/** Reads nothing yet; what was read once is not asked for again, but for the memory. */
export function identityIn(folder: ParameterFolder, signal: AbortSignal): Identity {
  const value = async (name: string): Promise<string> => {
    const text = await folder.read(name, signal)
    if (text !== null) return text
    throw new BackupError("not-found", `${folder.place(name)}: there is no such parameter; nothing was backed up`, {
      hint: "make the identity where the administrator is trusted: backup-cloud source keygen NAME URL --identity ssm:/PATH --out FILE",
    })
  }
  let written = ""
  return {
    memory: {
      async read() {
        written = await value(TRUST)
        return decodeMemory(written, folder.place(TRUST))
      },
      async write(memory) {
        const text = encodeMemory(memory)
        // Each write is a version, and of those the service keeps so many.
        if (text !== written) await folder.replace(TRUST, text, signal)
        written = text
      },
    },
    async source() {
      const text = await value(SOURCE)
      try {
        return v.parse(sourceSchema, JSON.parse(text))
      } catch (cause) {
        throw damaged(folder.place(SOURCE), cause)
      }
    },
    async secrets() {
      const secret = await value(SECRET)
      if (!/^[0-9a-f]{64}$/.test(secret)) throw damaged(folder.place(SECRET))
      return { secret: new Uint8Array(Buffer.from(secret, "hex")), signingKey: Buffer.from(await value(KEY)) }
    },
    async nextKey() {
      const text = await folder.read(NEXT_KEY, signal)
      return text === null ? null : Buffer.from(text)
    },
  }
}

function damaged(place: string, cause?: unknown): BackupError {
  return new BackupError("tampered", `${place} is not what this program wrote; nothing was backed up`, {
    cause,
    hint: "make another identity: backup-cloud source keygen NAME URL --identity ssm:/PATH --out FILE",
  })
}

export interface NewIdentity extends SourceSecrets, IdentifiedSource {
  /** What whoever makes it holds to be true of the archive. */
  readonly memory: Memory
}

/** Throws `conflict` rather than replace anything. The signing key comes first: where it is there, nothing else is made. */
export async function writeIdentity(folder: ParameterFolder, made: NewIdentity, signal: AbortSignal): Promise<void> {
  const { name, place, secret, signingKey, memory } = made
  const parameters = [
    [KEY, Buffer.from(signingKey).toString("latin1")],
    [SECRET, Buffer.from(secret).toString("hex")],
    [SOURCE, JSON.stringify({ name, place })],
    // Of what was seen, nothing of other sources.
    [TRUST, encodeMemory({ ...memory, heads: {} })],
  ] as const
  for (const [parameter, value] of parameters) await createNew(folder, parameter, value, signal)
}

/**
 * A next signing key, beside the present one, which goes on until the policy has the next. Throws `conflict` if there is one.
 */
export async function writeNextKeyInto(folder: ParameterFolder, key: Uint8Array, signal: AbortSignal): Promise<void> {
  await createNew(folder, NEXT_KEY, Buffer.from(key).toString("latin1"), signal)
}

async function createNew(folder: ParameterFolder, name: string, value: string, signal: AbortSignal): Promise<void> {
  try {
    await folder.create(name, value, signal)
  } catch (cause) {
    if (!isFault(cause, "conflict")) throw cause
    throw new BackupError("conflict", `${folder.place(name)} is there already; nothing else was made`, {
      cause,
      hint: "take another path or, where no policy has the key that is there, remove the parameter first",
    })
  }
}

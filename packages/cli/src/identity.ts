// The identity of a source as parameters: made by whoever trusts the administrator and may write them, so that what runs
// without a home begins with the same trust.

import { BackupError } from "@backup-cloud/format"
import { openParameters } from "@backup-cloud/store"
import { writeIdentity, writeNextKeyInto } from "backup-cloud/parts/identity"
import type { SourceSecrets } from "backup-cloud/parts/secrets"
import type { SourceConfig } from "./config.ts"
import type { Session } from "./session.ts"

interface Wanted {
  /** Only a next signing key. */
  readonly again: boolean
  readonly name: string
  /** Where the data is; `null` if it was not said. */
  readonly config: SourceConfig | null
  readonly keys: SourceSecrets
}

/** Throws `usage` without a place of the data, `conflict` rather than replace anything, and as loading the trust does. */
export async function makeIdentity(session: Session, url: string, wanted: Wanted): Promise<void> {
  const { again, name, config, keys } = wanted
  const { env, signal } = session.io
  using folder = openParameters(url, env)
  if (again) {
    await writeNextKeyInto(folder, keys.signingKey, signal)
    return
  }
  if (config === null)
    throw new BackupError("usage", "an identity says where the data is; nothing was made", {
      hint: `give its URL: backup-cloud source keygen ${name} URL --identity ${url}`,
    })
  // So that it begins with the archive and the policy of today, and takes no older one for the first.
  await session.trust()
  const memory = await session.remembered()
  await writeIdentity(folder, { ...keys, name, place: config, memory }, signal)
}

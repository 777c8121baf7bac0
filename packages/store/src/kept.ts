// What a store says of an object that it does not let go.

import { BackupError } from "@backup-cloud/format"

/** `refused`: the object stays. */
export class KeptError extends BackupError {
  /** When the store's lock lets it go; `null` where that is not known, or no lock is why. */
  readonly until: Date | null

  constructor(message: string, until: Date | null, options: ErrorOptions & { hint?: string } = {}) {
    super("refused", message, options)
    this.until = until
  }
}

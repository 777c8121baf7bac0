// Tells of every call to a store when it has ended: for logs, and for tests of what was asked and in which order.

import { BackupError, type Fault } from "@backup-cloud/format"
import type { Store } from "../ports.ts"
import { type Method, wrapped } from "./around.ts"

export interface Call {
  readonly method: Method
  /** Name or prefix; `""` for a probe. */
  readonly name: string
  /** `done`, a fault, or `error` for anything else that was thrown. */
  readonly outcome: "done" | "error" | Fault
}

/** @param onCall called once for each call that ended, also by a throw; not for a read or list that was left early */
export function observing(inner: Store, onCall: (call: Call) => void): Store {
  return wrapped(inner, {
    before: () => undefined,
    after: (method, name) => {
      onCall({ method, name, outcome: "done" })
    },
    failed: (method, name, error) => {
      onCall({ method, name, outcome: error instanceof BackupError ? error.fault : "error" })
    },
  })
}

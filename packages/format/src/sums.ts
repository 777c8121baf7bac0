// SHA256SUMS-NNNN: what `sha256sum -c` reads, in one accepted form (docs/format.md, section 3).

import { BackupError } from "./faults.ts"
import { parseRunObject } from "./names.ts"

const line = /^([0-9a-f]{64}) {2}([A-Za-z0-9.-]+)$/

/** @param sums digest (hex) by base name */
export function encodeSums(sums: ReadonlyMap<string, string>): Uint8Array {
  const sorted = [...sums].sort(([a], [b]) => (a < b ? -1 : 1))
  return new TextEncoder().encode(sorted.map(([name, digest]) => `${digest}  ${name}\n`).join(""))
}

/** Digest by base name, in order. Throws `tampered`, naming `object`, for anything but the one accepted form. */
export function decodeSums(bytes: Uint8Array, object: string): Map<string, string> {
  const lines = Buffer.from(bytes).toString("latin1").split("\n")
  if (lines.pop() !== "") throw new BackupError("tampered", `${object}: the last line does not end`)
  const sums = new Map<string, string>()
  let before = ""
  for (const each of lines) {
    const [, digest, name] = line.exec(each) ?? []
    if (digest === undefined || name === undefined || parseRunObject(name) === null || name <= before) {
      throw new BackupError(
        "tampered",
        `${object}: line ${sums.size + 1} is not a sorted, unique "<digest>  <known name>"`,
      )
    }
    sums.set(name, digest)
    before = name
  }
  return sums
}

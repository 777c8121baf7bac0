// Known vulnerabilities in what a user installs, from the registry's audit endpoint. A registry that does not answer it
// is said so and is no failure: mirrors often have none.

import { spawnSync } from "node:child_process"
import { dirname } from "node:path"

interface Audit {
  readonly metadata?: { readonly vulnerabilities?: { readonly high?: number; readonly critical?: number } }
}

/** What `npm audit --json` says: how many findings of severity high or worse; `null` if the registry gave no answer. */
export function grave(report: string): number | null {
  let audit: Audit | null
  try {
    audit = JSON.parse(report) as Audit | null
  } catch {
    return null
  }
  const found = audit?.metadata?.vulnerabilities
  return found === undefined ? null : (found.high ?? 0) + (found.critical ?? 0)
}

if (import.meta.main) {
  const result = spawnSync("npm", ["audit", "--json", "--omit=dev"], {
    cwd: dirname(import.meta.dirname),
    encoding: "utf8",
    timeout: 120_000,
  })
  const count = grave(result.stdout)
  console.log(count === null ? "npm audit: not checked" : `npm audit: ${count} of severity high or worse`)
  process.exitCode = count === null || count === 0 ? 0 : 1
}

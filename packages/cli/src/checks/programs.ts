// A check that a program is there.

import { access, constants } from "node:fs/promises"
import { delimiter, join } from "node:path"
import type { Check } from "./check.ts"

/**
 * @param names that it may have
 * @param apt the Debian package that brings it
 * @param why it is needed
 */
export function programCheck(
  env: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
  apt: string,
  why: string,
): Check {
  return {
    name: `${names.join(" or ")} is installed (${why})`,
    async run() {
      for (const folder of (env["PATH"] ?? "").split(delimiter)) {
        for (const name of names) {
          const there = await access(join(folder, name), constants.X_OK).then(
            () => true,
            () => false,
          )
          if (there) return null
        }
      }
      return { problem: "it is in no folder of PATH", mend: `apt-get install ${apt}` }
    },
  }
}

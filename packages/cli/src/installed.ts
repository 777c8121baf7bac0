// Packages that a deployment installs only if it uses them: the command declares them as optional.

import { BackupError } from "@backup-cloud/format"

/**
 * Throws `usage`, with the command that installs it, if the package is not here.
 * @param name without its scope: `source-s3`
 */
export async function installed<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "ERR_MODULE_NOT_FOUND")) throw cause
    const hint = `install it where this command is: npm install @backup-cloud/${name}`
    throw new BackupError("usage", `the package @backup-cloud/${name} is not installed; nothing was done`, {
      ...{ cause, hint },
    })
  }
}

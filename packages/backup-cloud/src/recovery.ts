// What every archive holds for a recovery with stock tools, as this version has it.

import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"

const urls = {
  "recover.sh": import.meta.resolve("@backup-cloud/recovery/recover.sh"),
  "RECOVER.txt": import.meta.resolve("@backup-cloud/recovery/RECOVER.txt"),
}

export async function recoveryFile(name: keyof typeof urls): Promise<Uint8Array> {
  return await readFile(fileURLToPath(urls[name]))
}

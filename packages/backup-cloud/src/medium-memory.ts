// What a machine remembers of an archive, and of each disk that holds a copy of it. A disk may lag behind by months, and that
// is no rollback: it is compared with what was seen of itself.

import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, identityCodec, MEDIUM } from "@backup-cloud/format"
import { directoryOf } from "@backup-cloud/store"
import { memoryFile, newMemory, type TrustMemory } from "@backup-cloud/trust"

/** @param archive URL or absolute path of what is looked at; `null` if nothing says it */
export function machineMemory(home: string, archive: string | null): TrustMemory {
  const main = pinMemory(home)
  const directory = archive === null ? null : directoryOf(archive)
  if (directory === null) return main
  const chosen = async (): Promise<TrustMemory> => {
    const medium = await mediumAt(directory)
    if (medium === null) return main
    const own = memoryFile(join(home, "media", `${medium}.trust.json`))
    return {
      async read() {
        return (await own.read()) ?? (await pinnedOnly(home).read())
      },
      write: (memory) => own.write(memory),
    }
  }
  return {
    read: async () => await (await chosen()).read(),
    write: async (memory) => {
      await (await chosen()).write(memory)
    },
  }
}

/** Where this machine pins its administrator. */
export function pinMemory(home: string): TrustMemory {
  return memoryFile(join(home, "trust.json"))
}

/** Knows whom the machine trusts for which archive, and keeps nothing. */
export function pinnedOnly(home: string): TrustMemory {
  const main = pinMemory(home)
  return {
    async read() {
      const first = await main.read()
      return first === null ? null : { ...newMemory(first.admin), archive: first.archive }
    },
    write: async () => undefined,
  }
}

async function mediumAt(directory: string): Promise<string | null> {
  const file = join(directory, MEDIUM)
  try {
    return identityCodec.decode(await readFile(file), file).medium
  } catch (error) {
    if (error instanceof BackupError) throw error
    return null
  }
}

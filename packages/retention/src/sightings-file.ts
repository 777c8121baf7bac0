// The file in a home that keeps what `look` saw, replaced whole at each write.

import { randomBytes } from "node:crypto"
import { mkdir, open, readFile, rename, rm } from "node:fs/promises"
import { dirname } from "node:path"
import { BackupError, FORMAT } from "@backup-cloud/format"
import * as v from "valibot"

const time = v.pipe(v.string(), v.isoTimestamp())
const rememberedRun = v.strictObject({ number: v.pipe(v.number(), v.safeInteger(), v.minValue(0)), arrived: time })
export type RememberedRun = v.InferOutput<typeof rememberedRun>

const schema = v.strictObject({
  format: v.literal(FORMAT),
  type: v.literal("sightings"),
  /** Archive id. */
  archive: v.string(),
  looked: time,
  /** By `<source>/<run>`. */
  runs: v.record(v.string(), rememberedRun),
})
export type Sightings = Pick<v.InferOutput<typeof schema>, "looked" | "runs">

/** What was seen of the archive; `null` if nothing was. Throws `unavailable` for a file that is not what was written. */
export async function readSightings(path: string, archive: string): Promise<Sightings | null> {
  let text: string
  try {
    text = await readFile(path, "utf8")
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null
    throw new BackupError("unavailable", `${path}: cannot be read; nothing was done`, { cause })
  }
  try {
    const found = v.parse(schema, JSON.parse(text))
    return found.archive === archive ? found : null
  } catch (cause) {
    throw new BackupError("unavailable", `${path}: is not what this program wrote; nothing was done`, {
      cause,
      hint: "restore the file from a copy; without it the times that files bear are believed",
    })
  }
}

/** Mode 0600, whole or not at all, durably. Throws `unavailable`. */
export async function writeSightings(path: string, archive: string, sightings: Sightings): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`
  const { looked, runs } = sightings
  const text = JSON.stringify({ format: FORMAT, type: "sightings", archive, looked, runs } satisfies v.InferInput<
    typeof schema
  >)
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await using file = await open(temporary, "wx", 0o600)
    await file.writeFile(`${text}\n`)
    await file.sync()
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true })
    throw new BackupError("unavailable", `${path}: what this machine saw could not be written; nothing was done`, {
      cause,
    })
  }
}

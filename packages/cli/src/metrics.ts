// Numbers for a monitoring system, as a file in Prometheus' text format that node_exporter's textfile collector takes. The
// file appears whole: the collector reads it whenever it likes.
//
// Not promised: a file after a command that could not read the archive. The collector tells the age of a file by itself.

import { rename, rm, writeFile } from "node:fs/promises"
import { BackupError } from "@backup-cloud/format"

/** Of each number its name, less `backup_cloud_`, and what it is, with its unit. */
export const HELP = {
  last_success_timestamp_seconds: "When the store says the last run arrived that can be restored, since 1970.",
  last_run_complete: "Whether that run is complete (1) or lacks what could not be read (0).",
  runs: "Runs that are signed and judged valid.",
  entries: "Entries of the last run that can be restored, rounded up to a power of two.",
  bytes: "Bytes of content of that run, rounded up to a power of two.",
  unread_entries: "Entries that could not be read in that run.",
  drill_success: "Whether the last drill that counts passed (1) or failed (0).",
  drill_timestamp_seconds: "When that drill ended, since 1970.",
  medium_age_seconds: "How long ago an offline disk was synced; of one that never was, since it was prepared.",
  problems: "What is not as it should be, by the archive's receipts.",
  backup_success: "Whether the backup is complete (1) or not (0).",
  backup_end_timestamp_seconds: "When the backup ended, since 1970.",
  backup_duration_seconds: "How long the backup took.",
  backup_entries: "Entries of the backup.",
  backup_bytes: "Bytes of content of the backup.",
  backup_stored_bytes: "Sealed bytes that the backup added to the archive.",
} as const

type Name = keyof typeof HELP

export class Metrics {
  readonly #values: { readonly name: Name; readonly of: string | null; value: number }[] = []

  /** @param of the source, or of `medium_…` the disk; `null` for a number of the whole archive */
  set(name: Name, of: string | null, value: number): void {
    const known = this.#values.find((each) => each.name === name && each.of === of)
    if (known === undefined) this.#values.push({ name, of, value })
    else known.value = value
  }

  async #text(): Promise<string> {
    // Most commands write no numbers, and need not wait for this.
    const { Gauge, Registry } = await import("prom-client")
    const registry = new Registry()
    for (const name of new Set(this.#values.map((each) => each.name))) {
      const values = this.#values.filter((each) => each.name === name)
      const label = name.startsWith("medium_") ? "medium" : "source"
      const labelNames = values.some((each) => each.of !== null) ? [label] : []
      const gauge = new Gauge({ name: `backup_cloud_${name}`, help: HELP[name], labelNames, registers: [registry] })
      for (const each of values) gauge.set(each.of === null ? {} : { [label]: each.of }, each.value)
    }
    return await registry.metrics()
  }

  /** Replaces `file`, mode 0644; does nothing unless it is a name. Throws `usage` if it cannot be made. */
  async write(file: unknown): Promise<void> {
    if (typeof file !== "string") return
    const part = `${file}.part`
    try {
      await writeFile(part, await this.#text(), { mode: 0o644 })
      await rename(part, file)
    } catch (cause) {
      await rm(part, { force: true })
      throw new BackupError("usage", `${file}: the metrics cannot be written there`, {
        cause,
        hint: "name a file in a folder that this user can write; all else was done",
      })
    }
  }
}

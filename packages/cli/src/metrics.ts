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
  problems: "What is not as it should be, by the archive's receipts.",
  backup_success: "Whether the backup is complete (1) or not (0).",
  backup_end_timestamp_seconds: "When the backup ended, since 1970.",
  backup_duration_seconds: "How long the backup took.",
  backup_entries: "Entries of the backup.",
  backup_bytes: "Bytes of content of the backup.",
  backup_stored_bytes: "Sealed bytes that the backup added to the archive.",
} as const

export class Metrics {
  readonly #values: { readonly name: keyof typeof HELP; readonly source: string | null; value: number }[] = []

  /** @param source the label; `null` for a number of the whole archive */
  set(name: keyof typeof HELP, source: string | null, value: number): void {
    const known = this.#values.find((each) => each.name === name && each.source === source)
    if (known === undefined) this.#values.push({ name, source, value })
    else known.value = value
  }

  async #text(): Promise<string> {
    // Most commands write no numbers, and need not wait for this.
    const { Gauge, Registry } = await import("prom-client")
    const registry = new Registry()
    for (const name of new Set(this.#values.map((each) => each.name))) {
      const values = this.#values.filter((each) => each.name === name)
      const labelNames = values.some(({ source }) => source !== null) ? ["source"] : []
      const gauge = new Gauge({ name: `backup_cloud_${name}`, help: HELP[name], labelNames, registers: [registry] })
      for (const { source, value } of values) gauge.set(source === null ? {} : { source }, value)
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

// Lengths of time as options take them: 90m, 48h, 7d.

import { BackupError, escapeControl } from "@backup-cloud/format"

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds. Throws `usage`. @param option as it is written */
export function duration(text: string, option: string): number {
  const [, count, unit] = /^([1-9][0-9]{0,3})([mhd])$/.exec(text) ?? []
  const scale = UNITS[unit ?? ""]
  if (count === undefined || scale === undefined)
    throw new BackupError("usage", `${option} takes 90m, 48h or 7d, not ${escapeControl(text)}`)
  return Number(count) * scale
}

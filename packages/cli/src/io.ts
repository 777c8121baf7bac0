// What a command is given of the outside world: streams, clock, randomness, environment, signals. Only main.ts makes one.

export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Numeric user id. */
  readonly uid: number
  /** How this program is started by whoever has no PATH: absolute. */
  readonly program: readonly string[]
  /** Version of Node.js, as `24.1.0`. */
  readonly node: string
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array>
  /** A line for whoever reads the result. */
  out(text: string): void
  /** Bytes for whoever reads the result, as `cat` gives them. */
  raw(bytes: Uint8Array): Promise<void>
  /** A line for the person at the terminal: notices, progress that stays. */
  note(text: string): void
  /** A line that the next one replaces; nothing where there is no terminal. */
  progress(text: string): void
  /** Width of the terminal where progress is seen; `null` where there is none. */
  columns(): number | null
  /** Asks for a yes; throws `usage` where nobody can answer. */
  confirm(question: string): Promise<boolean>
  /** Sets the exit code of a command that ends well: that of the script which it ran. */
  exitWith(code: number): void
  readonly now: () => Date
  readonly random: (bytes: number) => Uint8Array
  /** Signals a process, or a group as `-pid`; throws if it is not there. */
  readonly kill: (pid: number, signal: "SIGTERM" | "SIGKILL") => unknown
  /** Set by the first SIGINT or SIGTERM: commit what there is and stop. */
  readonly stop: AbortSignal
  /** Set by the second: stop at once. */
  readonly signal: AbortSignal
}

/** Options that every command takes, and one of a restore that matters before there is a session. */
export interface Globals {
  readonly archive?: string
  readonly media?: readonly string[]
  readonly config?: string
  readonly home?: string
  readonly json?: boolean
  readonly quiet?: boolean
  readonly yes?: boolean
  readonly salvage?: boolean
}

/** Events of all commands, one JSON object a line with `--json`. */
export interface CliEvent {
  readonly event: string
  readonly [name: string]: unknown
}

/** Bytes as people read them. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
  let unit = 0
  let value = bytes
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit] ?? ""}`
}

/** A `Map` and other values that JSON does not know, as plain ones. */
export function plain(_key: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value)
  if (value instanceof Set) return [...value]
  return typeof value === "bigint" ? String(value) : value
}

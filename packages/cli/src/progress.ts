// How far a command is: on a terminal one line that changes, with bar, per cent, rate and remaining time; elsewhere a plain
// line now and then, so that a log tells that it still works. What is not known is left out, and nothing is promised.

import { type Io, size } from "./io.ts"

export type Screen = Pick<Io, "columns" | "progress" | "note" | "now">

export interface Amount {
  readonly bytes: number
  readonly items: number
}

export interface Total extends Amount {
  /** Whether it is an estimate. */
  readonly about?: boolean
}

const TERMINAL_EVERY = 200
const PLAIN_EVERY = 30_000
/** The rate is that of the last so many milliseconds. */
const WINDOW = 10_000
const LEAST_BAR = 10

export class Progress {
  readonly #screen: Screen
  readonly #what: string
  readonly #unit: string
  readonly #every: number
  #shown: number
  /** When there were how many bytes: the first at the window's edge or before, the last just now. */
  readonly #samples: { readonly time: number; readonly bytes: number }[] = []

  /** @param what such as a source's name. @param unit what is counted, such as `files` */
  constructor(screen: Screen, what: string, unit: string) {
    this.#screen = screen
    this.#what = what
    this.#unit = unit
    const terminal = screen.columns() !== null
    this.#every = terminal ? TERMINAL_EVERY : PLAIN_EVERY
    this.#shown = screen.now().getTime() - (terminal ? TERMINAL_EVERY : 0)
  }

  /**
   * May be called as often as one likes.
   * @param total `null` where it is not known
   * @param more what else there is to say, a word or two
   */
  update(done: Amount, total: Total | null, more?: string): void {
    const time = this.#screen.now().getTime()
    if (time - this.#shown < this.#every && this.#samples.length > 0) return
    this.#sample(time, done.bytes)
    if (time - this.#shown < this.#every) return
    this.#shown = time
    const passed = total?.about === true && done.bytes > total.bytes
    const { share, parts } = this.#words(done, passed ? null : total, more)
    const columns = this.#screen.columns()
    if (columns === null) this.#screen.note(`${this.#what}: ${parts.join(", ")}`)
    else this.#screen.progress(line(this.#what, share, parts, columns))
  }

  #sample(time: number, bytes: number): void {
    this.#samples.push({ time, bytes })
    while ((this.#samples[1]?.time ?? Infinity) <= time - WINDOW) this.#samples.shift()
  }

  /** Bytes a second; `null` before there is anything to tell it by. */
  #rate(): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)]
    if (first === undefined || last === undefined || last.time === first.time) return null
    return ((last.bytes - first.bytes) * 1_000) / (last.time - first.time)
  }

  #words(done: Amount, total: Total | null, more?: string): { share: number | null; parts: string[] } {
    const parts: string[] = []
    let share: number | null = null
    if (total === null) parts.push(`${done.items.toLocaleString("en")} ${this.#unit}`, size(done.bytes))
    else {
      share = Math.min(1, total.bytes > 0 ? done.bytes / total.bytes : done.items / Math.max(1, total.items))
      const of = total.about === true ? "of about" : "of"
      parts.push(`${Math.floor(share * 100)}%`)
      if (total.bytes > 0) parts.push(`${size(done.bytes)} ${of} ${size(total.bytes)}`)
      else parts.push(`${done.items} ${of} ${total.items} ${this.#unit}`)
    }
    if (more !== undefined) parts.push(more)
    const rate = this.#rate()
    if (rate !== null) parts.push(`${size(Math.round(rate))}/s`)
    const left = (total?.bytes ?? 0) - done.bytes
    if (rate !== null && rate > 0 && left > 0) parts.push(`${duration(left / rate)} left`)
    return { share, parts }
  }
}

function line(what: string, share: number | null, parts: readonly string[], columns: number): string {
  const [first = "", ...rest] = parts
  if (share === null) return [what, ...parts].join("  ")
  const text = [first.padStart(4), ...rest].join("  ")
  // The last column stays free: some terminals go to the next line there.
  const width = columns - 1 - what.length - text.length - "  [] ".length
  if (width < LEAST_BAR) return `${what}  ${text}`
  const full = Math.floor(share * width)
  const bar = share >= 1 ? "=".repeat(width) : `${"=".repeat(full)}>`.padEnd(width).slice(0, width)
  return `${what}  [${bar}] ${text}`
}

/** Seconds as people say them, rounded up. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  const minutes = Math.ceil(seconds / 60)
  if (seconds < 5_400) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`
  return `${Math.ceil(hours / 24)} days`
}

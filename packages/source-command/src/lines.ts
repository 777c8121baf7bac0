// What a program says for people, cut into lines that are safe to show, and the last few of them for an error.

import type { Readable } from "node:stream"
import { escapeControl } from "@backup-cloud/format"

/** Characters of a line; what is longer comes as several. */
const MOST_LINE = 4_096
/** Of the last lines, how many and how many characters of each an error holds. */
const LAST_LINES = 5
const LAST_LINE = 200

export class Lines {
  readonly #onLine: (line: string) => void
  readonly #last: string[] = []

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  /** Takes all that comes out of a pipe. Several may be read at the same time; a line is of one of them. */
  read(pipe: Readable): void {
    let rest = ""
    pipe.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) this.#say(line)
      for (; rest.length > MOST_LINE; rest = rest.slice(MOST_LINE)) this.#say(rest.slice(0, MOST_LINE))
    })
    // What comes after the last line end is a line too.
    pipe.once("close", () => {
      if (rest !== "") this.#say(rest)
    })
  }

  #say(raw: string): void {
    for (let at = 0; at === 0 || at < raw.length; at += MOST_LINE) {
      const line = escapeControl(raw.slice(at, at + MOST_LINE))
      this.#onLine(line)
      if (line.trim() === "") continue
      this.#last.push(line.slice(0, LAST_LINE))
      if (this.#last.length > LAST_LINES) this.#last.shift()
    }
  }

  /** The last lines, in one line; `""` if nothing was said. */
  get last(): string {
    return this.#last.join(" | ")
  }
}

// Which entries belong to a backup. Patterns are written as in .gitignore, without its negation:
//
// - without a slash, but perhaps at the end, a pattern matches a name at any depth; else it is a path from the root;
// - a slash at the end makes it match directories only;
// - `*` and `?` match anything but a slash, also a leading dot and a newline; `**` as a segment matches any number of
//   directories; `[a-z]`, `[!a-z]` and `{a,b}` as in a shell; `\` takes a character as it is. All else is literal.
//
// Names are matched as UTF-8 text; each byte that is not valid there counts as U+FFFD, which only `*`, `?` and `**` match.

import picomatch from "picomatch"
import { BackupError } from "./faults.ts"

/** What to do with an entry. `look`: not wanted itself, but something below it may be. */
type Verdict = "take" | "look" | "leave"

export interface Globs {
  /**
   * Judges an entry whose parent was not left.
   * @param path relative byte string, never the top
   * @param within whether the directory above it was taken itself, and not only looked into
   */
  judge(path: string, directory: boolean, within: boolean): Verdict
}

interface Pattern {
  readonly anchored: boolean
  readonly directoriesOnly: boolean
  readonly matches: (text: string) => boolean
  /** Of an anchored pattern: what each segment must be, up to a `**`; `null` where braces may hold slashes. */
  readonly segments: readonly ((name: string) => boolean)[] | null
}

/** Throws `usage` naming a pattern that cannot be meant. @param include none means everything */
export function globs(include: readonly string[], exclude: readonly string[]): Globs {
  const wanted = include.map(compile)
  const unwanted = exclude.map(compile)
  return {
    judge(path, directory, within) {
      if (wanted.length === 0 && unwanted.length === 0) return "take"
      const text = asText(path)
      const name = text.slice(text.lastIndexOf("/") + 1)
      const hit = (p: Pattern): boolean => (directory || !p.directoriesOnly) && p.matches(p.anchored ? text : name)
      if (unwanted.some(hit)) return "leave"
      if (within || wanted.length === 0 || wanted.some(hit)) return "take"
      return directory && wanted.some((p) => mayHold(p, text)) ? "look" : "leave"
    },
  }
}

const ascii = /^[\0-\x7f]*$/

function asText(path: string): string {
  return ascii.test(path) ? path : Buffer.from(path, "latin1").toString("utf8")
}

function compile(pattern: string): Pattern {
  const refuse = (why: string, hint: string): never => {
    throw new BackupError("usage", `pattern ${JSON.stringify(pattern)}: ${why}`, { hint })
  }
  if (pattern.startsWith("!"))
    refuse("negation is not supported", "say what to back up with include; \\! stands for the character")
  const directoriesOnly = pattern.endsWith("/")
  const trimmed = pattern.replace(/^\/|\/+$/g, "")
  const anchored = pattern.startsWith("/") || trimmed.includes("/")
  const parts = trimmed.split("/")
  if (parts.some((part) => part === "" || part === "." || part === ".."))
    refuse("has an empty segment, . or ..", "patterns are relative to the root of the source")
  return {
    anchored,
    directoriesOnly,
    matches: matcher(trimmed),
    segments: !anchored ? [] : /[{}]/.test(trimmed) ? null : upToGlobstar(parts).map(matcher),
  }
}

function upToGlobstar(parts: readonly string[]): readonly string[] {
  const at = parts.indexOf("**")
  return at < 0 ? parts : parts.slice(0, at)
}

/** picomatch gives meaning to more characters than stated above; they are made literal, and `[!` what it calls `[^`. */
function matcher(pattern: string): (text: string) => boolean {
  const plain = pattern.replace(/\\[^]|\[[!^]?\]?[^\]]*\]|[()|+@!^$"']/g, (found) => {
    if (found.startsWith("\\")) return found
    if (found.length === 1) return `\\${found}`
    return found.startsWith("[!") ? `[^${found.slice(2)}` : found
  })
  // The flag lets the dots of its expressions match newlines.
  const options = { dot: true, nonegate: true, noextglob: true, strictSlashes: true, flags: "s", debug: true }
  try {
    // Not its matcher, to which a name that reads like the pattern matches too.
    const expression = picomatch.makeRe(plain, { ...options, literalBrackets: false })
    return (text) => expression.test(text)
  } catch (cause) {
    throw new BackupError("usage", `pattern ${JSON.stringify(pattern)} cannot be read`, { cause })
  }
}

/** Whether something below the directory `path` can match. */
function mayHold(pattern: Pattern, path: string): boolean {
  const { segments, anchored } = pattern
  if (!anchored || segments === null) return true
  const names = path.split("/")
  return names.every((name, i) => {
    const segment = segments[i]
    // Past the segments there is a `**` or nothing; an entry below what the whole pattern matches is judged as within.
    return segment === undefined || segment(name)
  })
}

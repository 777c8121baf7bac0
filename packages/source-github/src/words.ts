// What is written above and below a text that is recreated: who wrote the original and when, and a mark by which an
// interrupted restore finds what it made already. The mark is the last line, so that no text within can pass for one.

export interface Original {
  readonly user?: { readonly login?: string } | null
  readonly body?: string | null
  readonly created_at?: string
  readonly submitted_at?: string
  readonly html_url?: string
}

/** Characters that GitHub takes in a text. */
const MOST = 65_536
const MARK = /\n<!-- backup-cloud ([^\s>]+(?: [^\s>]+)*) -->\s*$/

/**
 * The text of what is recreated, and whether some of the original did not fit.
 * @param what it was, for people: `issue acme/app#5`
 * @param mark unique: `acme/app#5 comment 17`
 */
export function recreated(original: Original, what: string, mark: string): { text: string; cut: boolean } {
  const author = (original.user?.login ?? "ghost").replace(/[^A-Za-z0-9_[\]-]/g, "")
  const time = original.submitted_at ?? original.created_at ?? "an unknown time"
  // In code, so that nobody is notified.
  const head = `> \`${author}\` wrote this at ${time} as ${what}\n\n`
  const foot = `\n\n<!-- backup-cloud ${mark} -->`
  const body = original.body ?? ""
  const room = MOST - head.length - foot.length
  return { text: `${head}${body.slice(0, room)}${foot}`, cut: body.length > room }
}

/** The mark of a text that a restore made; `null` of any other. */
export function markOf(text: string | null | undefined): string | null {
  return MARK.exec(text ?? "")?.[1] ?? null
}

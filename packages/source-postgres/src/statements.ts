// The SQL of globals.sql and create.sql as statements, so that single ones can be left out and a database can get another
// name. It reads what pg_dump and pg_dumpall write with standard_conforming_strings: words, quoted names, '…' and E'…',
// comments. What is for psql alone (\restrict, \connect) is left out.

import { quoteName } from "./session.ts"

export interface Statement {
  /** Without the semicolon. */
  readonly text: string
  /** Words as they are, names without their quotes, everything else character by character. */
  readonly tokens: readonly Token[]
}

interface Token {
  readonly kind: "word" | "name" | "text" | "other"
  readonly value: string
  /** Where in the text of its statement. */
  readonly start: number
  readonly end: number
}

const LEXEME =
  /(?<skip>\s+|--[^\n]*|^\\[^\n]*)|(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|"(?<name>[^"]*(?:""[^"]*)*)"|(?<text>'[^']*(?:''[^']*)*')|(?<other>[^])/gmy
const ESCAPED = /'[^'\\]*(?:(?:''|\\[^])[^'\\]*)*'/y

/** The statements of a script, in order. */
export function statements(script: string): Statement[] {
  const found: Statement[] = []
  let start = -1
  let tokens: Token[] = []
  for (let at = 0; at < script.length; ) {
    const [token, end] = lexeme(script, at)
    if (token?.value === ";" && token.kind === "other") {
      if (start >= 0) found.push({ text: script.slice(start, at), tokens })
      start = -1
      tokens = []
    } else if (token !== null) {
      if (start < 0) start = at
      tokens.push({ ...token, start: at - start, end: end - start })
    }
    at = end
  }
  if (start >= 0) found.push({ text: script.slice(start), tokens })
  return found
}

/** What begins at `at`, `null` for what stands for nothing, and where it ends. */
function lexeme(script: string, at: number): [Pick<Token, "kind" | "value"> | null, number] {
  // Backslashes escape only in E'…', which looks like a word before a text.
  if (script[at] === "E" && script[at + 1] === "'") {
    ESCAPED.lastIndex = at + 1
    if (ESCAPED.test(script)) return [{ kind: "text", value: "" }, ESCAPED.lastIndex]
  }
  LEXEME.lastIndex = at
  const { skip, word, name, text, other } = LEXEME.exec(script)?.groups ?? {}
  const end = LEXEME.lastIndex
  if (skip !== undefined) return [null, end]
  if (word !== undefined) return [{ kind: "word", value: word }, end]
  if (name !== undefined) return [{ kind: "name", value: name.replaceAll('""', '"') }, end]
  if (text !== undefined) return [{ kind: "text", value: "" }, end]
  return [{ kind: "other", value: other ?? "" }, end]
}

/** Whether a statement begins with these words. */
function begins({ tokens }: Statement, ...words: readonly string[]): boolean {
  return words.every((word, i) => tokens[i]?.kind === "word" && tokens[i].value === word)
}

/** The identifier at a place; `null` if there is none. */
function identifier({ tokens }: Statement, at: number): string | null {
  const token = tokens[at]
  return token?.kind === "word" || token?.kind === "name" ? token.value : null
}

/** The same statement about another database: each time the word DATABASE stands before its name. */
export function renamed({ text, tokens }: Statement, from: string, to: string): string {
  let result = text
  for (const [i, token] of [...tokens.entries()].reverse()) {
    const before = tokens[i - 1]
    const isName = (token.kind === "word" || token.kind === "name") && token.value === from
    if (isName && before?.kind === "word" && before.value === "DATABASE")
      result = result.slice(0, token.start) + quoteName(to) + result.slice(token.end)
  }
  return result
}

/** What a statement of globals.sql would change of what was there before; `null` for everything else. */
export function changesOf(
  statement: Statement,
  there: { readonly roles: ReadonlySet<string>; readonly tablespaces: ReadonlySet<string> },
): string | null {
  const role =
    begins(statement, "CREATE", "ROLE") || begins(statement, "ALTER", "ROLE") ? identifier(statement, 2) : null
  const commented = begins(statement, "COMMENT", "ON", "ROLE") ? identifier(statement, 3) : null
  for (const name of [role, commented]) if (name !== null && there.roles.has(name)) return `role ${name}`
  const at = statement.tokens.findIndex((token) => token.kind === "word" && token.value === "TABLESPACE")
  const space = at < 0 ? null : identifier(statement, at + 1)
  if (space !== null && there.tablespaces.has(space)) return `tablespace ${space}`
  if (!begins(statement, "GRANT") || at >= 0) return null
  const [granted, to, member] = [identifier(statement, 1), identifier(statement, 2), identifier(statement, 3)]
  if (granted === null || member === null || to !== "TO") return null
  return there.roles.has(granted) && there.roles.has(member) ? `membership of ${member} in ${granted}` : null
}

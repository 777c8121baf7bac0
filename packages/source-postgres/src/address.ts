// Where a server is and how it is spoken to, out of a URL, as the variables that libpq reads. They hold no secret: a password
// comes another way (password.ts).

import { BackupError, escapeControl } from "@backup-cloud/format"

export interface Address {
  /** libpq's variables: host, port, role, TLS. */
  readonly variables: Readonly<Record<string, string>>
  /** The one database that the URL names; `null` for all of them. */
  readonly database: string | null
}

/** What may stand behind the `?`, by libpq's own names. */
const PARAMETERS: Readonly<Record<string, string>> = {
  host: "PGHOST",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  channel_binding: "PGCHANNELBINDING",
  gssencmode: "PGGSSENCMODE",
  connect_timeout: "PGCONNECT_TIMEOUT",
}

const FORM = "postgres://ROLE@HOST:PORT/ for all databases, postgres://ROLE@HOST:PORT/NAME for one"

/**
 * `postgres://role@host:port/database?sslmode=…`. Without a host it is the socket of this machine, `?host=/folder` another
 * one. Over the network TLS with a checked certificate (`sslmode=verify-full`) is the rule, and only the URL can say otherwise.
 * Throws `usage` for what is no such URL, and for one with a password in it.
 */
export function parseAddress(url: string): Address {
  const wrong = (why: string, cause?: unknown): never => {
    throw new BackupError("usage", `the address of the PostgreSQL server ${why}; nothing was done`, {
      cause,
      hint: FORM,
    })
  }
  const parsed = URL.parse(url)
  if (parsed === null || !/^postgres(?:ql)?:$/.test(parsed.protocol)) return wrong("is no URL of one")
  const { username, password, hostname, port, pathname, searchParams, hash } = parsed
  if (password !== "") wrong("has a password in it, which everybody may read there: take password_file")
  if (hash !== "") wrong("has a # in it")
  const variables: Record<string, string> = { PGAPPNAME: "backup-cloud", PGCONNECT_TIMEOUT: "30" }
  const decoded = (text: string): string => {
    try {
      return decodeURIComponent(text)
    } catch (cause) {
      return wrong("is not percent-encoded as it should be", cause)
    }
  }
  if (hostname !== "") variables["PGHOST"] = decoded(hostname.replace(/^\[(.*)\]$/, "$1"))
  if (port !== "") variables["PGPORT"] = port
  if (username !== "") variables["PGUSER"] = decoded(username)
  for (const [name, value] of searchParams) {
    const variable = PARAMETERS[name]
    if (variable === undefined) wrong(`has a parameter ${escapeControl(name)} that is not known`)
    else variables[variable] = value
  }
  if (!isLocal(variables["PGHOST"] ?? "")) variables["PGSSLMODE"] ??= "verify-full"
  const path = pathname.replace(/^\//, "")
  if (path.includes("/")) wrong("names more than one database (a slash in a name is %2F)")
  return { variables, database: path === "" ? null : decoded(path) }
}

/** A socket, or this machine by a name that no other can have. */
const isLocal = (host: string): boolean => /^$|^\/|^localhost$|^127(?:\.\d+){3}$|^::1$/.test(host)

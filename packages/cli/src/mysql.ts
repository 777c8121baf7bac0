// A server of MariaDB or MySQL as a URL names it. How it is reached is all in the URL, for a source as for a restore, but for
// the password.

import { isAbsolute } from "node:path"
import { BackupError } from "@backup-cloud/format"
import type { MysqlAccess } from "@backup-cloud/source-mysql"
import { type PasswordPlace, passwordOf } from "./passwords.ts"
import type { Session } from "./session.ts"

export interface MysqlPlace {
  readonly kind: "mysql"
  readonly user: string
  readonly host: string
  readonly port: number
  /** All if it is empty. */
  readonly schemas: readonly string[]
  readonly settings: Readonly<Partial<Record<(typeof SETTINGS)[number], string>>>
}

const SETTINGS = ["socket", "tls_ca", "tls", "dump", "threads"] as const
/** Tables that mydumper dumps at the same time. */
const THREADS = "4"

/** Throws `usage` for what cannot be meant, without the URL in it: there may be a password in it. */
export function mysqlPlace(text: string): MysqlPlace {
  const wrong = (): never => {
    throw new BackupError("usage", "the URL of the server is none that this version knows; nothing was done", {
      hint: "mysql://USER@HOST:PORT/ or mysql://USER@HOST/SCHEMA,SCHEMA; docs/sources/mysql.md lists what may follow",
    })
  }
  if (!URL.canParse(text)) return wrong()
  const { username, password, hostname, port, pathname, searchParams, hash } = new URL(text)
  if (password !== "") {
    throw new BackupError("usage", "the URL of a server holds a password, which others could read; nothing was done", {
      hint: "write it into a file of mode 0600 and give --password-file FILE",
    })
  }
  const settings = Object.fromEntries(searchParams) as MysqlPlace["settings"]
  const { socket, tls_ca: ca, tls = "off" } = settings
  const known = Object.keys(settings).every((name) => (SETTINGS as readonly string[]).includes(name))
  const absolute = [socket, ca].every((path) => path === undefined || isAbsolute(path))
  if (username === "" || hostname === "" || hash !== "" || !known || !absolute) return wrong()
  const { dump, threads = THREADS } = settings
  if ((dump ?? "mydumper") !== "mydumper" || !/^[1-9]\d?$/.test(threads) || (settings.threads && !dump)) return wrong()
  if (tls !== "off" || (settings.tls !== undefined && ca !== undefined)) return wrong()
  try {
    const schemas = pathname.slice(1) === "" ? [] : pathname.slice(1).split(",").map(decodeURIComponent)
    const [user, address] = [decodeURIComponent(username), hostname.replace(/^\[|\]$/g, "")]
    return { kind: "mysql", user, host: address, port: port === "" ? 3306 : Number(port), schemas, settings }
  } catch {
    return wrong()
  }
}

/** Which program dumps the rows. */
export const mysqlDump = ({ settings: { dump, threads = THREADS } }: MysqlPlace) =>
  dump === undefined ? {} : { mydumper: { threads: Number(threads) } }

/** What the package takes. @param name of the source, for what its programs say, and for messages */
export function mysqlAccess(
  session: Session,
  name: string,
  { user, host, port, settings }: MysqlPlace,
  password: PasswordPlace,
): MysqlAccess & { readonly allowClear: boolean } {
  const { socket, tls_ca: ca = null } = settings
  return {
    ...{ user, host, port, ca, ...(socket === undefined ? {} : { socket }) },
    password: passwordOf(session, name, password) ?? null,
    path: session.io.env["PATH"] ?? "/usr/bin:/bin",
    allowClear: settings.tls === "off",
    onLine: (line) => {
      session.note(`${name}: ${line}`)
    },
  }
}

// A server of MariaDB or MySQL as a URL names it. How it is reached is all in the URL, for a source as for a restore, but for
// the password, of which the URL says only where it lies.

import { isAbsolute } from "node:path"
import { BackupError } from "@backup-cloud/format"
import type { MysqlAccess } from "@backup-cloud/source-mysql"
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

const SETTINGS = ["socket", "tls_ca", "tls", "password_file", "password_command"] as const

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
      hint: "write it into a file of mode 0600 and give ?password_file=/its/path",
    })
  }
  const settings = Object.fromEntries(searchParams) as MysqlPlace["settings"]
  const { socket, tls_ca: ca, tls = "off", password_file: file, password_command: command } = settings
  const known = Object.keys(settings).every((name) => (SETTINGS as readonly string[]).includes(name))
  const absolute = [socket, ca, file].every((path) => path === undefined || isAbsolute(path))
  if (username === "" || hostname === "" || hash !== "" || !known || !absolute) return wrong()
  if (tls !== "off" || (settings.tls !== undefined && ca !== undefined)) return wrong()
  if (file !== undefined && command !== undefined) return wrong()
  try {
    const schemas = pathname.slice(1) === "" ? [] : pathname.slice(1).split(",").map(decodeURIComponent)
    const [user, address] = [decodeURIComponent(username), hostname.replace(/^\[|\]$/g, "")]
    return { kind: "mysql", user, host: address, port: port === "" ? 3306 : Number(port), schemas, settings }
  } catch {
    return wrong()
  }
}

/** What the package takes. @param name of the source, for what its programs say */
export async function mysqlAccess(
  session: Session,
  name: string,
  { user, host, port, settings }: MysqlPlace,
): Promise<MysqlAccess & { readonly allowClear: boolean }> {
  const { passwordFrom } = await import("@backup-cloud/source-mysql")
  const { io } = session
  const { socket, tls_ca: ca = null, password_file: file, password_command: command } = settings
  const place = file !== undefined ? { file } : command !== undefined ? { command: ["/bin/sh", "-c", command] } : null
  return {
    ...{ user, host, port, ca, ...(socket === undefined ? {} : { socket }) },
    password: place === null ? null : passwordFrom(place, io.now),
    path: io.env["PATH"] ?? "/usr/bin:/bin",
    allowClear: settings.tls === "off",
    onLine: (line) => {
      session.note(`${name}: ${line}`)
    },
  }
}

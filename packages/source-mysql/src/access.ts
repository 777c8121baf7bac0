// How a server is reached: what the tools are told of it, in an option file that has no name by the time they read it. It
// lies in memory (/dev/shm), is removed before a tool starts, and the tool gets it as a descriptor: so a password is never
// an argument, a variable or a file that outlives anybody.

import { randomBytes } from "node:crypto"
import { closeSync, openSync, unlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { BackupError, escapeControl } from "@backup-cloud/format"

export interface MysqlAccess {
  readonly user: string
  /** Name or address; a socket is used instead where one is given. */
  readonly host: string
  /** 3306 unless given. */
  readonly port?: number
  /** Absolute path of the server's local socket. */
  readonly socket?: string
  /** Asked before each connection: a token may have expired since the last. `null` for a user without a password. */
  readonly password: ((signal: AbortSignal) => Promise<string>) | null
  /** File of the authorities that the server's certificate is checked against; `null`: no TLS. */
  readonly ca: string | null
  /** `PATH` to look for the tools in: the only variable that they get. */
  readonly path: string
  /** Gets what tools say on standard error, control characters escaped. */
  readonly onLine: (line: string) => void
}

/** Folder in memory. */
const MEMORY = "/dev/shm"

/** A word that every tool says of itself. */
export type Flavour = "mariadb" | "mysql"

/** Throws `usage` for what cannot be meant, and for a server elsewhere that would be spoken to in the clear unasked. */
export function checkAccess({ user, host, port, socket, ca }: MysqlAccess, allowClear: boolean): void {
  const wrong = (why: string, hint: string): never => {
    throw new BackupError("usage", `the server ${escapeControl(host)}: ${why}; nothing was done`, { hint })
  }
  for (const text of [user, host, socket ?? "", ca ?? ""])
    if (/\p{Cc}/u.test(text)) wrong("a control character is in what it is reached by", "mend the URL")
  if (user === "") wrong("no user is given", "mysql://USER@host/")
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) wrong("no such port", "1 to 65535")
  const local = socket !== undefined || ["localhost", "127.0.0.1", "::1"].includes(host)
  if (!local && ca === null && !allowClear)
    wrong("without a file of authorities nobody knows who answers", "give tls_ca, or tls: false within a trusted net")
}

/** The option file's descriptor, to be closed once the tool has started. */
export function optionFile(access: MysqlAccess, flavour: Flavour, password: string | null): number {
  const file = join(MEMORY, `backup-cloud-mysql-${randomBytes(16).toString("hex")}`)
  try {
    writeFileSync(file, optionText(access, flavour, password), { mode: 0o600, flag: "wx" })
  } catch (cause) {
    throw new BackupError("unavailable", `${MEMORY} cannot be written; the server was not asked`, {
      cause,
      hint: `the password is handed to the tools in memory: ${MEMORY} must be a tmpfs with some room`,
    })
  }
  try {
    return openSync(file, "r")
  } finally {
    unlinkSync(file)
  }
}

export { closeSync as closeOptionFile }

function optionText({ user, host, port = 3306, socket, ca }: MysqlAccess, flavour: Flavour, password: string | null) {
  // Without its value mydumper would not look at the name.
  const verify = flavour === "mariadb" ? ["ssl", "ssl-verify-server-cert=1"] : ["ssl-mode=VERIFY_IDENTITY"]
  const clear = flavour === "mariadb" ? ["skip-ssl"] : ["ssl-mode=DISABLED"]
  const lines = [
    `user=${quoted(user)}`,
    ...(password === null ? [] : [`password=${quoted(password)}`]),
    ...(socket === undefined ? [`host=${quoted(host)}`, `port=${port}`, "protocol=tcp"] : [`socket=${quoted(socket)}`]),
    ...(ca === null ? (socket === undefined ? clear : []) : [`ssl-ca=${quoted(ca)}`, ...verify]),
    "default-character-set=utf8mb4",
  ]
  return `[client]\n${lines.join("\n")}\n`
}

/** A value as option files have it. */
function quoted(text: string): string {
  const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t" }
  return `"${text.replace(/[\\"\n\r\t]/g, (one) => escapes[one] ?? one)}"`
}

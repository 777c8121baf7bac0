// A repository on a server: its URL, and the configuration that git is run with for it. The configuration allows the one
// protocol of the URL, hands the credential to that server alone, and lets nothing that a repository holds decide what runs.

import { chmod, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, escapeControl } from "@backup-cloud/format"

/** Password or token for HTTP. */
export interface Credential {
  /** `x-access-token` where a token needs no name. */
  readonly username: string
  readonly password: string
}

export interface RemoteOptions {
  /** `https://host/path`, `http://…`, `ssh://user@host/path`, `git://…` or `file:///path`; without a password. */
  readonly url: string
  /** For `https`, and for `http` to this machine alone; others are refused, since everybody on the way could read it. */
  readonly credential?: Credential
  /** Server of the LFS objects, where it is not that of the repository. */
  readonly lfsUrl?: string
}

export interface Remote extends RemoteOptions {
  /** As in the URL, without `:`. */
  readonly protocol: string
  /** Of the repository, without folders and `.git`. */
  readonly name: string
}

const PROTOCOLS = new Set(["https", "http", "ssh", "git", "file"])
const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"])
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9_.][A-Za-z0-9._-]{0,104}$/

/** Throws `usage` for what is no such URL, and `refused` for a credential that would be sent in the clear. */
export function remoteOf(options: RemoteOptions): Remote {
  const url = httpUrl(options.url)
  const protocol = url.protocol.slice(0, -1)
  if (!PROTOCOLS.has(protocol)) throw wrong(options.url, "is no URL of a repository")
  if (url.password !== "") throw wrong(options.url, "holds a password", "keep it in a file of mode 0600 instead")
  if (url.search !== "" || url.hash !== "") throw wrong(options.url, "has more than a path")
  if (protocol === "http" && options.credential !== undefined && !LOOPBACK.has(url.hostname))
    throw new BackupError("refused", `${shown(options.url)}: the credential would go there unencrypted; not done`, {
      hint: "use https",
    })
  if (options.credential !== undefined && /[\n\0]/.test(options.credential.username + options.credential.password))
    throw new BackupError("usage", `${shown(options.url)}: the credential has a line end within; nothing was done`)
  const last = url.pathname.replace(/\/+$/, "").split("/").at(-1) ?? ""
  const name = decodeURIComponent(last).replace(/\.git$/, "")
  if (!NAME.test(name)) throw wrong(options.url, "does not end in the name of a repository")
  if (options.lfsUrl !== undefined) httpUrl(options.lfsUrl)
  return { ...options, protocol, name }
}

function httpUrl(text: string): URL {
  // Percent signs must stand for something, and control characters would end a line of the configuration.
  if (!URL.canParse(text) || /[^!-~]|%(?![0-9A-Fa-f]{2})/.test(text)) throw wrong(text, "is no URL of a repository")
  return new URL(text)
}

export const shown = (url: string): string => escapeControl(url.replace(/\/\/[^/@]*:[^/@]*@/, "//***@"))

function wrong(url: string, why: string, hint = "such as https://host/team/repository.git"): BackupError {
  return new BackupError("usage", `${shown(url)} ${why}; nothing was done`, { hint })
}

/** The server's part of the URL, which the credential is for. */
const originOf = ({ url }: RemoteOptions): string => new URL(url).origin

/** Writes what git reads instead of the user's and the system's configuration, as `.gitconfig` into `home`. */
export async function writeConfig(home: string, remote: Remote): Promise<void> {
  const lines = [
    "[core]",
    "\thooksPath = /dev/null",
    "\tfsmonitor = false",
    "\taskPass =",
    "[gc]",
    "\tauto = 0",
    "[maintenance]",
    "\tauto = false",
    "[fetch]",
    "\tunpackLimit = 1",
    "[transfer]",
    "\tunpackLimit = 1",
    "[pack]",
    "\twriteReverseIndex = false",
    "[protocol]",
    "\tallow = never",
    `[protocol "${remote.protocol}"]`,
    "\tallow = always",
    "[http]",
    // A server that sends nothing for five minutes is not waited for any longer.
    "\tlowSpeedLimit = 1",
    "\tlowSpeedTime = 300",
    "[lfs]",
    // Given here, they cannot be said by a repository's own .lfsconfig.
    `\turl = ${quoted(lfsUrlOf(remote))}`,
    "\tskipdownloaderrors = false",
    "\tfetchinclude =",
    "\tfetchexclude =",
  ]
  if (remote.credential !== undefined) {
    const file = join(home, "credential")
    const { username, password } = remote.credential
    await writeFile(file, `username=${username}\npassword=${password}\n`, { mode: 0o600 })
    lines.push(
      `[credential "${originOf(remote)}"]`,
      `\thelper = "!f() { test \\"$1\\" = get && cat '${file}'; }; f"`,
      `\tusername = ${quoted(username)}`,
    )
  }
  const file = join(home, ".gitconfig")
  await writeFile(file, `${lines.join("\n")}\n`, { mode: 0o600 })
  await chmod(file, 0o600)
}

const quoted = (text: string): string => `"${text.replace(/[\\"]/g, "\\$&")}"`

/** Where git-lfs would ask by itself (its api/server-discovery). */
function lfsUrlOf({ url, protocol, lfsUrl }: Remote): string {
  if (lfsUrl !== undefined) return lfsUrl
  if (protocol !== "https" && protocol !== "http") return url
  const base = url.replace(/\/+$/, "")
  return `${base.endsWith(".git") ? base : `${base}.git`}/info/lfs`
}

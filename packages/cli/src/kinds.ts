// Kinds of sources and of places to restore to: what a URL names, and the package that reads or writes it. A package is
// loaded when it is needed, so that a machine installs only those it uses.

import { tmpdir } from "node:os"
import { isAbsolute, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { BackupError, escapeControl, patterns, type Source, type Target } from "@backup-cloud/format"
import type { SourceConfig } from "./config.ts"
import { installed } from "./installed.ts"
import type { Io } from "./io.ts"
import {
  openGithubSource,
  openGithubTarget,
  openGitSource,
  openGitTarget,
  type RepositoryPlace,
  repositoryPlace,
} from "./kinds-git.ts"
import { type MysqlPlace, mysqlAccess, mysqlDump, mysqlPlace } from "./mysql.ts"
import type { PasswordPlace } from "./passwords.ts"
import { chosenNames, postgresAccess } from "./postgres.ts"
import { s3Settings } from "./s3-options.ts"
import type { Session } from "./session.ts"

/** How AWS, or a server that speaks its protocol, is reached; what is absent the machine's AWS configuration says. */
interface Access {
  readonly endpoint?: string
  readonly region?: string
}

export type Place =
  | { readonly kind: "dir"; readonly path: string }
  | { readonly kind: "command" }
  | { readonly kind: "postgres"; readonly url: string }
  /** Directories that scripts give, one for each run. */
  | { readonly kind: "upload" }
  /** Backed up by a program that uses the library; `of` is what kind it calls its source. */
  | { readonly kind: "program"; readonly of: string }
  | RepositoryPlace
  | { readonly kind: "s3"; readonly bucket: string; readonly prefix: string; readonly access: Access }
  | { readonly kind: "ssm"; readonly path: string; readonly access: Access }
  | MysqlPlace

const FORMS =
  "dir:///absolute/path, s3://bucket/prefix, ssm:/path, git:https://host/repository.git, github:organisation, postgres://role@host:port/database, mysql://user@host/, command: with --stream NAME=COMMAND, upload: for what scripts upload, or program:KIND"

/** What a source's URL names. Throws `usage` for a kind that this version does not know. */
export function placeOf(url: string, env: Io["env"]): Place {
  const wrong = (cause?: unknown): never => {
    throw new BackupError(
      "usage",
      `${escapeControl(url.replace(/\/\/[^/@]*@/, "//…@"))} is not a source this version knows`,
      { cause, hint: FORMS },
    )
  }
  if (url === "command:") return { kind: "command" }
  if (isPostgres(url)) return { kind: "postgres", url }
  if (url === "upload:") return { kind: "upload" }
  const [, of] = /^program:(.+)$/.exec(url) ?? []
  if (of !== undefined) return patterns.name.test(of) ? { kind: "program", of } : wrong()
  if (/^git(?:hub)?:/.test(url)) return repositoryPlace(url) ?? wrong()
  if (url.startsWith("dir:///")) {
    try {
      const path = fileURLToPath(`file://${url.slice("dir://".length)}`)
      return isAbsolute(path) ? { kind: "dir", path } : wrong()
    } catch (cause) {
      return wrong(cause)
    }
  }
  if (url.startsWith("mysql:")) return mysqlPlace(url)
  if (!URL.canParse(url)) return wrong()
  const { protocol, host, pathname, searchParams, username, hash } = new URL(url)
  const known = [...searchParams.keys()].every((name) => name === "endpoint" || name === "region")
  if (!known || username !== "" || hash !== "") return wrong()
  const endpoint = searchParams.get("endpoint") ?? env["AWS_ENDPOINT_URL"]
  const region = searchParams.get("region") ?? env["AWS_REGION"] ?? env["AWS_DEFAULT_REGION"]
  const access = { ...(endpoint === undefined ? {} : { endpoint }), ...(region === undefined ? {} : { region }) }
  const path = decodeURIComponent(pathname)
  if (protocol === "s3:" && host !== "") return { kind: "s3", bucket: host, prefix: path.replace(/^\//, ""), access }
  if (protocol === "ssm:" && host === "" && path.startsWith("/")) return { kind: "ssm", path, access }
  return wrong()
}

/** Whether a place is a PostgreSQL server. */
export const isPostgres = (url: string): boolean => /^postgres(?:ql)?:/.test(url)

/** The server of a URL that `checkedPlace` took, and whether all of its databases are meant. */
export function postgresHost(url: string): { readonly host: string; readonly all: boolean } {
  const { hostname, pathname, searchParams } = new URL(url)
  return { host: searchParams.get("host") ?? decodeURIComponent(hostname), all: pathname.length <= 1 }
}

/** What `placeOf` gives, looked at by the package that it is for. Throws `usage`, also for a password in the URL. */
export async function checkedPlace(url: string, env: Io["env"]): Promise<Place> {
  const place = placeOf(url, env)
  if (place.kind === "postgres")
    (await installed("source-postgres", () => import("@backup-cloud/source-postgres"))).parseAddress(place.url)
  return place
}

/** The source as the configuration of this machine has it. Throws `usage` for what cannot be meant. */
export async function openSource(session: Session, name: string, config: SourceConfig): Promise<Source> {
  const { io } = session
  const place = placeOf(config.url, io.env)
  switch (place.kind) {
    case "dir": {
      const { dirSource } = await import("@backup-cloud/source-dir")
      const { include, exclude } = config
      return dirSource({
        root: place.path,
        ...(include === undefined ? {} : { include }),
        ...(exclude === undefined ? {} : { exclude }),
        oneFileSystem: config.one_file_system ?? false,
        xattrs: config.xattrs ?? false,
        acls: config.acls ?? false,
      })
    }
    case "command": {
      const { commandSource } = await installed("source-command", () => import("@backup-cloud/source-command"))
      const streams = Object.entries(config.streams ?? {})
      return commandSource({
        streams: streams.map(([stream, command]) => ({ name: stream, command: shellCommand(command) })),
        now: io.now,
        kill: io.kill,
        onLine: (stream, line) => {
          session.note(`${name}: ${escapeControl(stream)}: ${line}`)
        },
      })
    }
    case "upload":
      throw new BackupError("usage", `${name} is what scripts upload; nothing was backed up`, {
        hint: `give it a directory: backup-cloud upload DIR ${name}`,
      })
    case "program":
      throw new BackupError("usage", `${name} is backed up by a program of its own; nothing was backed up`, {
        hint: "start that program: docs/writing-a-source.md shows one",
      })
    case "postgres": {
      const { postgresSource } = await installed("source-postgres", () => import("@backup-cloud/source-postgres"))
      const { role_passwords: rolePasswords = true } = config
      const access = postgresAccess(session, name, place.url, config)
      const chosen = chosenNames(config)
      return postgresSource({ ...access, ...(chosen === null ? {} : { chosen }), rolePasswords, now: io.now })
    }
    case "git":
      return await openGitSource(session, name, place.url, config)
    case "github":
      return await openGithubSource(session, name, place, config)
    case "s3": {
      const { s3Source } = await installed("source-s3", () => import("@backup-cloud/source-s3"))
      return s3Source({ bucket: place.bucket, prefix: place.prefix, ...place.access, ...s3Settings(config) })
    }
    case "ssm": {
      const { ssmSource } = await installed("source-ssm", () => import("@backup-cloud/source-ssm"))
      return ssmSource({ path: place.path, ...place.access })
    }
    case "mysql": {
      const { mysqlSource } = await installed("source-mysql", () => import("@backup-cloud/source-mysql"))
      const { schemas } = place
      return mysqlSource({ ...mysqlAccess(session, name, place, config), ...mysqlDump(place), schemas, now: io.now })
    }
  }
}

export interface TargetOptions {
  readonly intoExisting: boolean
  readonly setId: boolean
  readonly devices: boolean
  /** Replace what is there and differs: parameters, objects and schemas only. */
  readonly overwrite: boolean
  /** Let objects lie less well encrypted than their originals did. */
  readonly weakerEncryption: boolean
  /** Of a database server. */
  readonly password: PasswordPlace
}

/** A place to restore to, and how it is told to people: a directory, or the URL of a bucket, of parameters or of a server. */
export async function openTarget(
  session: Session,
  to: string,
  options: TargetOptions,
): Promise<{ target: Target; where: string; kind: Exclude<Place["kind"], "command"> }> {
  const place = /^(?:git|github|s3|ssm|mysql):/.test(to) ? placeOf(to, session.io.env) : null
  if (place?.kind === "s3") {
    const { s3Target } = await installed("source-s3", () => import("@backup-cloud/source-s3"))
    const { bucket, prefix, access } = place
    const { intoExisting, overwrite, weakerEncryption: allowWeakerEncryption } = options
    const target = s3Target({ bucket, prefix, ...access, intoExisting, overwrite, allowWeakerEncryption })
    return { target, where: to, kind: "s3" }
  }
  if (place?.kind === "mysql") {
    if (place.schemas.length > 0)
      throw new BackupError("usage", "a server is restored to as a whole; nothing was restored", {
        hint: "leave the schema out of --to and choose what comes back: --path '*/shop.sql'",
      })
    const { mysqlTarget } = await installed("source-mysql", () => import("@backup-cloud/source-mysql"))
    const access = mysqlAccess(session, place.host, place, options.password)
    return {
      target: mysqlTarget({ ...access, overwrite: options.overwrite, staging: tmpdir() }),
      where: to,
      kind: "mysql",
    }
  }
  if (place?.kind === "git") return { target: await openGitTarget(session, place.url, options), where: to, kind: "git" }
  if (place?.kind === "github")
    return { target: await openGithubTarget(session, place, options), where: to, kind: "github" }
  if (place?.kind !== "ssm") {
    const root = resolve(session.io.cwd, to)
    const { dirTarget } = await import("@backup-cloud/source-dir")
    const { intoExisting, setId, devices } = options
    return {
      target: dirTarget({ root, intoExisting, setId, devices, owner: session.isRoot }),
      where: root,
      kind: "dir",
    }
  }
  const { ssmTarget } = await installed("source-ssm", () => import("@backup-cloud/source-ssm"))
  const target = ssmTarget({
    ...place.access,
    below: place.path,
    overwrite: options.overwrite,
    onEvent: (event) => {
      session.event({ ...event, event: `parameter-${event.event}` })
    },
  })
  return { target, where: to, kind: "ssm" }
}

/** A list is a program with its arguments; text is for the shell. @param args what the shell has as $1, $2 … */
export function shellCommand(command: string | readonly string[], ...args: readonly string[]): readonly string[] {
  return typeof command === "string" ? ["/bin/sh", "-c", command, "sh", ...args] : command
}

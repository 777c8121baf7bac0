// Where things are on this machine: flag over environment over backup-cloud.yaml over ~/.config/backup-cloud. The signed
// policy says who and which rules; this file says only URLs, globs and where secrets lie.

import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { BackupError, escapeControl, patterns } from "@backup-cloud/format"
import * as v from "valibot"
import { parse, stringify } from "yaml"
import type { Globals, Io } from "./io.ts"

const globs = v.optional(v.array(v.string()))
const sourceSchema = v.strictObject({
  url: v.string(),
  include: globs,
  exclude: globs,
  one_file_system: v.optional(v.boolean()),
  xattrs: v.optional(v.boolean()),
  acls: v.optional(v.boolean()),
  /** Of kind command: what is backed up under which name; text is run by the shell. */
  streams: v.optional(v.record(v.string(), v.union([v.string(), v.array(v.string())]))),
  /** Of databases and repositories: where the password or token is, or a shell command that puts it out. */
  password_file: v.optional(v.string()),
  password_command: v.optional(v.string()),
  /** Of postgres: false where the password hashes of roles may not be read. */
  role_passwords: v.optional(v.boolean()),
  /** Of kind s3: older versions too, no tags, a part of the keys (index and count, or from and to). */
  versions: v.optional(v.boolean()),
  tags: v.optional(v.boolean()),
  shard: v.optional(
    v.strictObject({
      index: v.optional(v.number()),
      count: v.optional(v.number()),
      from: v.optional(v.string()),
      to: v.optional(v.string()),
    }),
  ),
  /** ARNs, with `*` for anything, of what the source backs up though its URL does not tell. */
  covers: v.optional(v.array(v.string())),
  checkpoint_minutes: v.optional(v.pipe(v.number(), v.gtValue(0))),
})
const configSchema = v.strictObject({
  archive: v.optional(v.string()),
  home: v.optional(v.string()),
  /** `ssm:/path` of the keys and memory of one source, in place of the home. */
  identity: v.optional(v.string()),
  sources: v.optional(v.record(v.pipe(v.string(), v.regex(patterns.name)), sourceSchema)),
  /** By ARN, with `*` for anything: why no source is meant to back it up. */
  left_out: v.optional(v.record(v.string(), v.string())),
})
export type ConfigFile = v.InferOutput<typeof configSchema>
export type SourceConfig = v.InferOutput<typeof sourceSchema>

export interface Config {
  /** The yaml file; it need not be there. */
  readonly file: string
  /** Folder of this machine's secrets and memory, absolute. */
  readonly home: string
  /** URL of the archive; `null` if nothing says it. */
  readonly archive: string | null
  /** Where the keys and memory of one source are; `null` if they are in the home. */
  readonly identity: string | null
  readonly sources: Readonly<Record<string, SourceConfig>>
  readonly left_out: Readonly<Record<string, string>>
}

/** Finds and reads the configuration. Throws `usage`, naming the file, for one that does not fit. */
export async function readConfig(globals: Globals, io: Io): Promise<Config> {
  const { env } = io
  const base = env["XDG_CONFIG_HOME"] ?? join(env["HOME"] ?? "/", ".config")
  const standard = join(base, "backup-cloud")
  const named = globals.config ?? env["BACKUP_CLOUD_CONFIG"]
  const chosenHome = globals.home ?? env["BACKUP_CLOUD_HOME"]
  const places =
    named === undefined
      ? [join(io.cwd, "backup-cloud.yaml"), join(chosenHome ?? standard, "backup-cloud.yaml")]
      : [named]
  let file = resolve(io.cwd, places.at(-1) ?? "")
  let content: ConfigFile = {}
  for (const place of places) {
    const found = await readYaml(resolve(io.cwd, place))
    if (found === null) continue
    file = resolve(io.cwd, place)
    content = found
    break
  }
  const home = chosenHome ?? content.home ?? standard
  const archive = globals.archive ?? env["BACKUP_CLOUD_ARCHIVE"] ?? content.archive ?? null
  return {
    file,
    home: resolve(io.cwd, home),
    archive,
    identity: env["BACKUP_CLOUD_IDENTITY"] ?? content.identity ?? null,
    sources: content.sources ?? {},
    left_out: content.left_out ?? {},
  }
}

/** What the file says; `null` if there is none. Throws `usage`, naming it, if it does not fit. */
export async function readYaml(file: string): Promise<ConfigFile | null> {
  let text: string
  try {
    text = await readFile(file, "utf8")
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null
    throw new BackupError("usage", `${file} cannot be read`, { cause })
  }
  const wrong = (why: string, cause?: unknown): never => {
    throw new BackupError("usage", `${file}: ${why}; nothing was done`, {
      cause,
      hint: "mend the file, or name another with --config",
    })
  }
  let content: unknown
  try {
    content = parse(text) ?? {}
  } catch (cause) {
    return wrong(cause instanceof Error ? (cause.message.split(":\n")[0] ?? "") : "it is no YAML", cause)
  }
  if (typeof content !== "object" || Array.isArray(content)) return wrong("it must be names with values")
  const parsed = v.safeParse(configSchema, content)
  return parsed.success ? parsed.output : wrong(issueWords(parsed.issues[0]))
}

/** A source as another place than the yaml file has it. Throws `usage`, naming that place, if it does not fit. */
export function sourceConfig(value: unknown, where: string): SourceConfig {
  const parsed = v.safeParse(sourceSchema, value)
  if (parsed.success) return parsed.output
  throw new BackupError("usage", `${where}: ${issueWords(parsed.issues[0])}; nothing was done`)
}

/** What is wrong where, as people say it. */
function issueWords(issue: v.InferIssue<typeof configSchema> | v.InferIssue<typeof sourceSchema>): string {
  const where = v.getDotPath(issue) ?? "it"
  const received = escapeControl(issue.received)
  if (issue.type === "regex") return `${received} is no name of a source`
  if (issue.type !== "strict_object") return `${escapeControl(where)} must be a ${issue.expected}, not ${received}`
  return issue.expected === "never" ? `${escapeControl(where)} is not a name that belongs here` : `${where} is missing`
}

/** Writes changes into the yaml file; what else is in it stays, comments excepted. */
export async function changeConfig(config: Config, change: (content: ConfigFile) => ConfigFile): Promise<void> {
  const content = change((await readYaml(config.file)) ?? {})
  await mkdir(dirname(config.file), { recursive: true, mode: 0o700 })
  const temporary = `${config.file}.new`
  await writeFile(temporary, stringify(v.parse(configSchema, content)), { mode: 0o600 })
  await rename(temporary, config.file)
}

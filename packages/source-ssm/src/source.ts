// The parameters below a path as a source: a regular file for each, whose content is the value, and whose attributes say the
// rest. Settings and tags are listed in each run; a value is fetched only if version or time have changed.
//
// Values of SecureStrings are decrypted by AWS on reading, and are in memory until they are sealed, nowhere else.
// Not promised: one moment for all parameters. Memory: all settings (there can be 110,000 parameters in a region).

import {
  BackupError,
  escapeControl,
  inOrder,
  pathKey,
  type Source,
  type SourceEntry,
  toByteString,
} from "@backup-cloud/format"
import { Ssm, type SsmAccess } from "./access.ts"
import { type Listed, listBelow, tagsOf } from "./list.ts"
import { toAttributes } from "./parameter.ts"
import { NAME, parents, pathsOf } from "./paths.ts"
import { Values } from "./values.ts"

export interface SsmSourceOptions extends SsmAccess {
  /** What is below it; `/` is everything. It begins with a slash, and a slash at its end does not count. */
  readonly path: string
}

/**
 * The source of the parameters below `path`. An entry of mode 0600 for each, at its name without the first slash, with
 * attributes `ssm.type`, `ssm.version`, `ssm.description`, `ssm.tier`, `ssm.policies`, `ssm.data-type`, `ssm.key-id`,
 * `ssm.allowed-pattern`, `ssm.tag.<key>`, and `ssm.name` where the path is another. Throws `usage` for a path without slash.
 *
 * `entries` throws `refused` without the right to list, `unavailable` if AWS does not answer. A parameter whose value may
 * not be read or decrypted, or that is gone, is an `EntryError` with AWS's word for it.
 */
export function ssmSource(options: SsmSourceOptions): Source {
  const path = normalPath(options.path)
  const ssm = new Ssm(options)
  return { kind: "ssm", identity: ["ssm.version"], entries: (signal) => entries(ssm, path, signal) }
}

/** `/a/b`, or `/`. */
export function normalPath(path: string): string {
  if (!/^\/(?:[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+)*\/?)?$/.test(path)) {
    throw new BackupError("usage", `"${escapeControl(path)}" is no path of parameters; nothing was read`, {
      hint: "begin it with a slash: /prod, or / for all parameters",
    })
  }
  return path === "/" ? path : path.replace(/\/$/, "")
}

/** All that are below `path`, in the order of their names. */
export async function listAll(ssm: Ssm, path: string, signal: AbortSignal): Promise<Listed[]> {
  const all: Listed[] = []
  for await (const page of listBelow(ssm, path, signal)) all.push(...page)
  return all.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function* entries(ssm: Ssm, path: string, signal: AbortSignal): AsyncGenerator<SourceEntry[], void, undefined> {
  const listed = await listAll(ssm, path, signal)
  const paths = pathsOf(listed.map((each) => each.name))
  const folders = new Set([".", ...[...paths.values()].flatMap(parents)])
  const places: [string, Listed | null][] = [...folders].map((folder) => [folder, null])
  for (const each of listed) places.push([paths.get(each.name) ?? "", each])
  places.sort(([a], [b]) => (pathKey(a) < pathKey(b) ? -1 : 1))
  const values = new Values(ssm)
  let batch: SourceEntry[] = []
  for await (const entry of inOrder(places, WIDTH, signal, async ([at, parameter], s) =>
    parameter === null
      ? folder(at)
      : entryOf(parameter, at, (await tagsOf(ssm, parameter.name, s)) ?? new Map(), values),
  )) {
    batch.push(entry)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** Requests for tags at the same time: AWS throttles them. */
const WIDTH = 4
const BATCH = 500

const plain = { uid: 0, gid: 0, link: null }

function folder(path: string): SourceEntry {
  const none = { attributes: new Map<string, string>(), content: null }
  return { ...plain, ...none, type: "d", mode: 0o700, path, mtime: "0.000000000", size: 0 }
}

function entryOf(listed: Listed, path: string, tags: ReadonlyMap<string, string>, values: Values): SourceEntry {
  const { name, version, modified } = listed
  const attributes = toAttributes({ ...listed, tags })
  attributes.set("ssm.version", String(version))
  if (name !== `/${path}`) attributes.set(NAME, toByteString(name))
  return {
    ...{ ...plain, type: "f", mode: 0o600, path, mtime: timeOf(modified), size: null, attributes },
    content: {
      kind: "stream",
      async open(signal) {
        const value = values.ask(name, version)
        return { attributes: new Map(), bytes: once(() => value(signal)) }
      },
    },
  }
}

async function* once(value: () => Promise<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield await value()
}

/** As in the catalogue; AWS tells milliseconds. */
function timeOf(date: Date): string {
  const seconds = Math.floor(date.getTime() / 1000)
  return `${seconds}.${String(date.getTime() - seconds * 1000).padStart(3, "0")}000000`
}

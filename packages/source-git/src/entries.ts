// A mirror as entries: restored, they are a bare repository that any git clones. Packs and LFS objects have names that say
// their content, so what an earlier run has of them is not read again.

import { hash } from "node:crypto"
import { open, readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, escapeControl, pathKey, type SourceEntry, toByteString } from "@backup-cloud/format"
import { lfsPath } from "./lfs.ts"
import { type Mirror, PACK } from "./mirror.ts"

/** Attribute that says the content of a file: name of the pack, id of the LFS object, digest of what is small. */
export const CONTENT = "git.content"
/** Attribute of the repository's folder: where it was fetched from. */
const URL_OF = "git.url"
/** What a repository needs to be one. Nothing in it runs anything. */
const CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
const CONFIG_SHA256 = CONFIG.replace("= 0\n", "= 1\n") + "[extensions]\n\tobjectFormat = sha256\n"
const PIECE = 1_048_576

/**
 * Entries of the repository, sorted, its own folder first.
 * @param at path of its folder in the backup
 */
export async function mirrorEntries(mirror: Mirror, url: string, at: string): Promise<SourceEntry[]> {
  const packs = (await readdir(join(mirror.path, "objects/pack"))).filter((name) => PACK.test(name))
  const whole = packs.filter((name) => packs.includes(name.replace(/\.(?:pack|idx)$/, pair)))
  const sha256 = /^[0-9a-f]{64} /m.test(mirror.refs)
  const entries = [
    ...["", "/objects", "/objects/pack", "/refs"].map((path) => folder(`${at}${path}`)),
    text(`${at}/HEAD`, mirror.head),
    text(`${at}/config`, sha256 ? CONFIG_SHA256 : CONFIG),
    text(`${at}/packed-refs`, mirror.refs),
    ...(await Promise.all(whole.map((name) => local(mirror, at, `objects/pack/${name}`, name)))),
    ...(await lfsEntries(mirror, at)),
  ]
  const [first] = entries
  if (first !== undefined) entries[0] = { ...first, attributes: new Map([[URL_OF, toByteString(url)]]) }
  return sortEntries(entries)
}

/** In the order of a catalogue. */
export function sortEntries(entries: SourceEntry[]): SourceEntry[] {
  const keyed = entries.map((entry) => ({ key: pathKey(entry.path), entry }))
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ entry }) => entry)
}

const pair = (ending: string): string => (ending === ".pack" ? ".idx" : ".pack")

async function lfsEntries(mirror: Mirror, at: string): Promise<SourceEntry[]> {
  const found = await readdir(join(mirror.path, "lfs/objects"), { recursive: true }).catch(() => [])
  const ids = found.flatMap((path) => /(?:^|\/)([0-9a-f]{64})$/.exec(path)?.[1] ?? [])
  const there = await Promise.all(ids.map((id) => local(mirror, at, lfsPath(id), id)))
  const missing = mirror.missing.map((id) => ({
    ...file(`${at}/${lfsPath(id)}`, id),
    ...{ content: null, size: 0, attributes: new Map([["error", "LFS-object-missing"]]) },
  }))
  const all = [...there, ...missing]
  const folders = new Set(all.flatMap(({ path }) => parentsBelow(path, at)))
  return [...[...folders].map(folder), ...all]
}

/** The folders that hold `path`, below `top`. */
function parentsBelow(path: string, top: string): string[] {
  const segments = path
    .slice(top.length + 1)
    .split("/")
    .slice(0, -1)
  return segments.map((_, i) => `${top}/${segments.slice(0, i + 1).join("/")}`)
}

const plain = { uid: 0, gid: 0, link: null, mtime: "0.000000000" }

export function folder(path: string): SourceEntry {
  return { ...plain, type: "d", mode: 0o700, path, size: 0, attributes: new Map(), content: null }
}

function file(path: string, content: string) {
  return { ...plain, type: "f" as const, mode: 0o600, path, attributes: new Map([[CONTENT, content]]) }
}

/** A small file whose content is here. @param bytes a byte string */
export function text(path: string, bytes: string): SourceEntry {
  const content = Buffer.from(bytes, "latin1")
  return {
    ...file(path, hash("sha256", content)),
    size: content.length,
    content: { kind: "stream", open: async () => ({ attributes: new Map(), bytes: once(content) }) },
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function local(mirror: Mirror, at: string, path: string, content: string): Promise<SourceEntry> {
  const from = join(mirror.path, path)
  const { size } = await stat(from)
  return {
    ...file(`${at}/${path}`, content),
    size,
    content: { kind: "stream", open: async () => ({ attributes: new Map(), bytes: readLocal(from, size) }) },
  }
}

/** Throws `incomplete` if the file is not there any more or has another length. */
export async function* readLocal(path: string, size: number): AsyncGenerator<Uint8Array> {
  const broke = (cause?: unknown): BackupError =>
    new BackupError("incomplete", `${escapeControl(path)}: changed while it was read; the backup is not whole`, {
      cause,
      hint: "let nothing else use the folder; remove it if that does not help: everything is fetched anew",
    })
  let length = 0
  try {
    await using handle = await open(path)
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(PIECE), 0, PIECE)
      if (bytesRead === 0) break
      length += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } catch (cause) {
    throw broke(cause)
  }
  if (length !== size) throw broke()
}

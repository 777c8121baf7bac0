// The catalogue: a line for each entry and, beneath it, a line for each chunk (docs/format.md, section 8). The text is
// the format; these functions are strict both ways and keep attributes they don't know.

import { BackupError } from "./faults.ts"
import { escapeControl, MAX_VOLUMES, patterns } from "./names.ts"
import { percentDecode, percentEncode } from "./percent.ts"
import type { EntryType } from "./source.ts"

/** Where a chunk lies. `volume` counts from 1 within `run`. */
export interface ChunkRef {
  readonly id: string
  readonly length: number
  readonly run: string
  readonly volume: number
}

/** An entry of a catalogue. Paths, links and attribute values are byte strings. */
export interface CatalogueEntry {
  readonly type: EntryType
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: string
  readonly size: number
  /** Of the whole content, hex; `null` without content. */
  readonly sha256: string | null
  readonly path: string
  readonly link: string | null
  readonly attributes: ReadonlyMap<string, string>
  readonly chunks: readonly ChunkRef[]
}

const types = new Set<string>(["f", "d", "l", "h", "p", "s", "b", "c", "u"])
const digits = /^(?:0|[1-9][0-9]{0,15})$/
const mtimeForm = /^(?:0|-?[1-9][0-9]{0,14})\.[0-9]{9}$/
const MAX_CHUNK = 4_194_304
/** Far above what the extended attributes of a file add up to anywhere; it bounds what a reader holds of one line. */
const MAX_LINE = 16_777_216

const isCount = (text: string): boolean => digits.test(text) && Number.isSafeInteger(Number(text))

/** A path that reaches below the top and nowhere else. @param path byte string */
export function isSafePath(path: string): boolean {
  if (path === ".") return true
  if (path.includes("\0")) return false
  return path.split("/").every((s) => s !== "" && s !== "." && s !== ".." && s.length <= 255)
}

/** Sort key of the catalogue's order: compare these strings. @param path byte string */
export function pathKey(path: string): string {
  return path === "." ? "" : path.replaceAll("/", "\0")
}

const field = (bytes: string): string => (bytes === "-" ? "%2D" : percentEncode(bytes))

export function encodeChunkLine(chunk: ChunkRef): string {
  return `+ ${chunk.id} ${chunk.length} ${chunk.run} ${chunk.volume}\n`
}

/** The lines of one entry with its chunks. */
export function encodeEntry(entry: CatalogueEntry): string {
  const { mode, uid, gid, mtime, size, sha256, path, link } = entry
  let line = `${entry.type} ${mode.toString(8).padStart(4, "0")} ${uid}:${gid} ${mtime} ${size} ${sha256 ?? "-"} ${field(path)} ${link === null ? "-" : field(link)}`
  if (entry.attributes.size > 0) line += encodeAttributes(entry.attributes)
  line += "\n"
  for (const chunk of entry.chunks) line += encodeChunkLine(chunk)
  return line
}

function encodeAttributes(attributes: ReadonlyMap<string, string>): string {
  const encoded = [...attributes].map(([name, value]) => [percentEncode(name), percentEncode(value)] as const)
  encoded.sort(([a], [b]) => (a < b ? -1 : 1))
  return encoded.map(([name, value]) => ` ${name}=${value}`).join("")
}

function bad(why: string, line: string): never {
  throw new BackupError("tampered", `catalogue: ${why}: ${escapeControl(line.slice(0, 200))}`)
}

/** A `+` line, without its line end. Throws `tampered`. */
export function parseChunkLine(line: string): ChunkRef {
  const [plus, id, length, run, volume, ...rest] = line.split(" ")
  if (
    plus !== "+" ||
    id === undefined ||
    length === undefined ||
    run === undefined ||
    volume === undefined ||
    rest.length > 0 ||
    !patterns.digest.test(id) ||
    !isCount(length) ||
    !patterns.run.test(run) ||
    !isCount(volume)
  ) {
    return bad("not a chunk line", line)
  }
  const chunk = { id, length: Number(length), run, volume: Number(volume) }
  if (chunk.length < 1 || chunk.length > MAX_CHUNK || chunk.volume < 1 || chunk.volume > MAX_VOLUMES)
    return bad("number out of bounds", line)
  return chunk
}

/** An entry's first line, without its line end; chunks are pushed to `chunks` by the caller. Throws `tampered`. */
export function parseEntryLine(line: string, chunks: readonly ChunkRef[]): CatalogueEntry {
  const [type = "", mode = "", owner = "", mtime = "", size = "", sha256 = "", path = "", link = "", ...rest] =
    line.split(" ")
  const [uid = "", gid = "", ...more] = owner.split(":")
  if (!types.has(type)) return bad("unknown type", line)
  if (!/^[0-7]{4}$/.test(mode) || !isCount(uid) || !isCount(gid) || more.length > 0) return bad("owner or mode", line)
  if (!mtimeForm.test(mtime) || !isCount(size)) return bad("time or size", line)
  if (sha256 !== "-" && !patterns.digest.test(sha256)) return bad("digest", line)
  const decodedPath = path === "-" ? null : decodeField(path)
  if (decodedPath === null || !isSafePath(decodedPath)) return bad("path", line)
  const decodedLink = link === "-" ? null : decodeField(link)
  if (link !== "-" && decodedLink === null) return bad("link", line)
  const attributes = parseAttributes(rest, line)
  const entry: CatalogueEntry = {
    type: type as EntryType,
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
    mtime,
    size: Number(size),
    sha256: sha256 === "-" ? null : sha256,
    path: decodedPath,
    link: decodedLink,
    attributes,
    chunks,
  }
  checkEntry(entry, line)
  return entry
}

function decodeField(text: string): string | null {
  if (text === "%2D") return "-"
  return text === "" || text === "-" ? null : percentDecode(text)
}

function parseAttributes(fields: readonly string[], line: string): Map<string, string> {
  const attributes = new Map<string, string>()
  let before = ""
  for (const each of fields) {
    const equals = each.indexOf("=")
    const name = percentDecode(each.slice(0, Math.max(0, equals)))
    const value = percentDecode(each.slice(equals + 1))
    if (equals < 1 || name === null || value === null || each.slice(0, equals) <= before) return bad("attribute", line)
    attributes.set(name, value)
    before = each.slice(0, equals)
  }
  return attributes
}

function checkEntry(entry: CatalogueEntry, line: string): void {
  const linked = entry.type === "l" || entry.type === "h"
  if (linked !== (entry.link !== null)) bad("link of the wrong type", line)
  if (entry.type === "h" && !(entry.link !== null && entry.link !== "." && isSafePath(entry.link)))
    bad("link path", line)
  if (entry.type === "l" && entry.link?.includes("\0") === true) bad("link target", line)
  const wantsDigest =
    entry.type === "f" && (!entry.attributes.has("error") || entry.attributes.get("error") === "changed")
  if (wantsDigest !== (entry.sha256 !== null)) bad("digest missing or out of place", line)
  if (entry.type !== "f" && entry.size !== 0) bad("size of what has no content", line)
  const device = entry.attributes.get("device")?.split(",")
  if (device !== undefined && !(device.length === 2 && device.every(isCount))) bad("device", line)
  if (entry.path === "." && entry.type !== "d") bad("the top is no directory", line)
}

/**
 * Reads catalogue text that arrives in pieces. Each entry is yielded once all its chunk lines were read. Checks the
 * order, parents, that hard links point back and that chunk lengths add up; throws `tampered`.
 */
export async function* readCatalogue(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<CatalogueEntry, void, undefined> {
  const check = new OrderCheck()
  let open: { line: string; chunks: ChunkRef[] } | null = null
  for await (const line of lines(pieces)) {
    if (line.startsWith("+")) {
      if (open === null) return bad("chunk line without entry", line)
      open.chunks.push(parseChunkLine(line))
      continue
    }
    if (open !== null) yield check.accept(parseEntryLine(open.line, open.chunks), open.line)
    open = { line, chunks: [] }
  }
  if (open !== null) yield check.accept(parseEntryLine(open.line, open.chunks), open.line)
  check.end()
}

/** Only the chunk lines of catalogue text, without looking at entries: what an index needs, in a third of the time. */
export async function* readChunkLines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<ChunkRef, void, undefined> {
  for await (const line of lines(pieces)) if (line.startsWith("+")) yield parseChunkLine(line)
}

/**
 * What spans entries: order, parents, sums of lengths; that a hard link points back in the order, not that its target is
 * there: that would take all paths in memory, and a target finds it out. Memory: the open directories.
 */
export class OrderCheck {
  #before: string | null = null
  #open: string[] = []

  accept(entry: CatalogueEntry, line: string): CatalogueEntry {
    const key = pathKey(entry.path)
    if (this.#before === null ? entry.path !== "." : key <= this.#before) bad("out of order", line)
    this.#before = key
    if (entry.path !== ".") this.#checkParent(entry.path, line)
    if (entry.type === "d") this.#open.push(entry.path)
    if (entry.type === "h" && !(pathKey(entry.link ?? "") < key)) bad("link to a later entry", line)
    const sum = entry.chunks.reduce((total, chunk) => total + chunk.length, 0)
    if (sum !== (entry.sha256 === null ? 0 : entry.size)) bad("chunks do not add up to the size", line)
    return entry
  }

  #checkParent(path: string, line: string): void {
    const slash = path.lastIndexOf("/")
    const parent = slash < 0 ? "." : path.slice(0, slash)
    while (this.#open.length > 0 && this.#open.at(-1) !== parent) this.#open.pop()
    if (this.#open.length === 0) bad("parent directory missing", line)
  }

  end(): void {
    if (this.#before === null) throw new BackupError("tampered", "catalogue: is empty")
  }
}

/** Lines of ASCII text; throws `tampered` if the last one does not end, or one is too long. */
async function* lines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let rest = ""
  for await (const piece of pieces) {
    const parts = (rest + Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString("latin1")).split("\n")
    rest = parts.pop() ?? ""
    for (const line of parts) yield line.length > MAX_LINE ? bad("line too long", line) : line
    if (rest.length > MAX_LINE) bad("line too long", rest)
  }
  if (rest !== "") bad("the last line does not end", rest)
}

// The one stream of a dump of all schemas, cut where another schema begins, and made such that a small change stays small.
//
// The dump program ends an INSERT when it is long enough, so a row that grows would move the ends of all that follow. Here the
// INSERTs of a table are joined and ended anew after rows that say so by their own bytes. Comments are left out but for those
// that name a table: what they tell besides changes from day to day. Rows are counted and hashed on their way.
//
// Bytes are looked at one by one for quotes, so nothing that is in a name or a value is taken for a border. What it relies on is
// the form of mysqldump and mariadb-dump since 5.7 and 10: a statement begins a line, and INSERT INTO `table` … VALUES is one.

import { noRows, RowHash, type TableStats } from "./row-hash.ts"

/** What came next: bytes of the present part, or the schema (byte string) whose part begins. */
export type Cut = Uint8Array | { readonly schema: string }

/**
 * Whether a part ends after a row. Asked of each row.
 * @param fresh whether another INSERT begins there by itself
 * @param mark 32 bits that follow from the bytes of the row
 * @param bytes that the part has
 */
export type EndsPart = (fresh: boolean, mark: number, bytes: number) => boolean

export interface Position {
  readonly file: string
  readonly offset: number
}

const [LF, QUOTE, DOUBLE, BACKTICK, BACKSLASH] = [0x0a, 0x27, 0x22, 0x60, 0x5c]
const [OPEN, CLOSE, SEMICOLON, SPACE, MINUS, LAST_OF_VALUES] = [0x28, 0x29, 0x3b, 0x20, 0x2d, 0x53]
/** Average and most bytes of an INSERT. */
const AVERAGE = 65_536
const MOST = 1_048_576
const MARKER = /^-- Current Database: `((?:[^`]|``)+)`\n$/
const LANDMARK = /^-- (?:Table structure for table|Dumping data for table) /
const INSERT = /^INSERT INTO `((?:[^`]|``)+)`/
const CREATE = /^CREATE TABLE `((?:[^`]|``)+)` \(\n$/

export class Cutter {
  /** By schema and table (byte strings), of those that have been seen so far. */
  readonly tables = new Map<string, Map<string, TableStats>>()
  position: Position | null = null
  gtid: string | null = null
  /** Whether the last line that a whole dump has was there. */
  completed = false
  /** Statements that every part begins with. */
  header = ""
  /** INSERTs that have been read. */
  inserts = 0

  #cuts: Cut[] = []
  /** Bytes of the present part that are no cut yet. */
  #bytes: Uint8Array[] = []
  #schema: string | null = null
  /** In text: what is quoted by which byte, 1 within a line of comment, 0 outside. In a row: only the former. */
  #quote = 0
  #escaped = false
  #significant = 0
  /** The line so far, which ends where nothing is quoted. */
  #line: Buffer[] = []
  #length = 0
  #inRows = false
  #depth = 0
  #skipLf = false
  /** INSERT that rows are being put into; `""` if none is open. */
  #open = ""
  #prefix = ""
  #fresh = true
  #mark = 0
  #rowBytes = 0
  #statementBytes = 0
  #rows: RowHash | null = null
  readonly #endsPart: EndsPart | null
  #partBytes = 0

  /** @param endsPart where the rows of a schema, which are all of one table then, are cut further */
  constructor(endsPart: EndsPart | null = null) {
    this.#endsPart = endsPart
  }

  /** Whether what was pushed ended with a whole statement. */
  get isAtRest(): boolean {
    return !this.#inRows && this.#length === 0
  }

  /** Takes the next bytes, whose memory must stay as it is, and gives what came of them. */
  push(piece: Buffer): readonly Cut[] {
    this.#cuts = []
    for (let at = 0; at < piece.length; ) at = this.#inRows ? this.#scanRows(piece, at) : this.#scanLine(piece, at)
    this.#flush()
    return this.#cuts
  }

  /** Many small pieces would cost those who read them more than one copy. */
  #flush(): void {
    if (this.#bytes.length > 0) this.#cuts.push(Buffer.concat(this.#bytes))
    this.#bytes = []
  }

  /** A part of a line of text, or all that is left of it; where to go on. */
  #scanLine(piece: Buffer, from: number): number {
    let [quote, escaped, significant] = [this.#quote, this.#escaped, this.#significant]
    let at = from
    let end = false
    if (this.#skipLf && piece[at] === LF) from++
    this.#skipLf = false
    for (at = from; at < piece.length && !end; at++) {
      const byte = piece[at] as number
      if (quote === 1) {
        end = byte === LF
        continue
      }
      if (quote !== 0) {
        if (escaped) escaped = false
        else if (byte === BACKSLASH && quote !== BACKTICK) escaped = true
        else if (byte === quote) quote = 0
        continue
      }
      if (byte === LF) end = true
      else if (byte === QUOTE || byte === DOUBLE || byte === BACKTICK) quote = byte
      else if (byte === MINUS && this.#length + at - from === 1 && significant === MINUS) quote = 1
      // The parenthesis is the first row's.
      else if (byte === OPEN && significant === LAST_OF_VALUES && this.#isInsert(piece, from, at)) {
        this.#beginRows()
        this.#significant = 0
        return at
      }
      if (byte > SPACE) significant = byte
    }
    this.#keep(piece, from, at)
    if (!end) {
      ;[this.#quote, this.#escaped, this.#significant] = [quote, escaped, significant]
      return at
    }
    ;[this.#quote, this.#escaped, this.#significant] = [0, false, 0]
    if (significant === LAST_OF_VALUES && quote === 0 && this.#isInsert(piece, at, at)) this.#beginRows()
    else this.#endLine()
    return at
  }

  #keep(piece: Buffer, from: number, to: number): void {
    if (to > from) this.#line.push(piece.subarray(from, to))
    this.#length += to - from
  }

  /** Whether the line so far is the start of an INSERT with rows; what of it is in `piece` is kept then. */
  #isInsert(piece: Buffer, from: number, to: number): boolean {
    const text = Buffer.concat([...this.#line, piece.subarray(from, to)]).toString("latin1")
    if (!INSERT.test(text)) return false
    this.#keep(piece, from, to)
    return true
  }

  #takeLine(): string {
    const text = Buffer.concat(this.#line).toString("latin1")
    this.#line = []
    this.#length = 0
    return text
  }

  #beginRows(): void {
    const prefix = `${this.#takeLine().trimEnd()}\n`
    this.inserts++
    this.#inRows = true
    this.#depth = 0
    if (prefix !== this.#prefix) {
      this.#closeInsert()
      this.#rows ??= new RowHash(this.#statsOf(name(INSERT.exec(prefix)?.[1] ?? "")))
    }
    this.#prefix = prefix
  }

  /** Rows of an INSERT up to its end; where to go on. */
  #scanRows(piece: Buffer, from: number): number {
    let [quote, escaped, depth, mark] = [this.#quote, this.#escaped, this.#depth, this.#mark]
    let start = depth > 0 ? from : -1
    let at = from
    for (; at < piece.length; at++) {
      const byte = piece[at] as number
      if (depth > 0) mark = Math.imul(mark ^ byte, 16_777_619)
      if (quote !== 0) {
        if (escaped) escaped = false
        else if (byte === BACKSLASH) escaped = true
        else if (byte === quote) quote = 0
      } else if (byte === QUOTE || byte === DOUBLE) quote = byte
      else if (byte === OPEN && depth++ === 0) {
        this.#beginRow()
        start = at
        mark = -2_128_831_035
      } else if (byte === CLOSE && --depth === 0) {
        this.#rowPart(piece.subarray(start, at + 1))
        this.#endRow(mark)
        start = -1
      } else if (byte === SEMICOLON && depth === 0) {
        this.#inRows = false
        this.#skipLf = true
        at++
        break
      }
    }
    if (start >= 0) this.#rowPart(piece.subarray(start, at))
    ;[this.#quote, this.#escaped, this.#depth, this.#mark] = [quote, escaped, depth, mark]
    return at
  }

  #beginRow(): void {
    if (this.#open === "") {
      this.#emit(this.#prefix)
      this.#open = this.#prefix
      this.#statementBytes = 0
    } else if (this.#fresh) {
      this.#emit(`;\n${this.#prefix}`)
      this.#statementBytes = 0
    } else this.#emit(",\n")
    this.#fresh = false
    this.#rowBytes = 0
  }

  #rowPart(bytes: Buffer): void {
    this.#bytes.push(bytes)
    this.#rows?.update(bytes)
    this.#rowBytes += bytes.length
    this.#partBytes += bytes.length
  }

  #endRow(mark: number): void {
    this.#rows?.end()
    this.#statementBytes += this.#rowBytes
    // The upper bits: the lower ones of such a hash hardly mix.
    const draw = (mark >>> 16) % AVERAGE
    this.#fresh = draw < this.#rowBytes || this.#statementBytes > MOST
    if (this.#endsPart?.(this.#fresh, mark, this.#partBytes) === true) this.#endPart()
  }

  #endPart(): void {
    this.#emit(";\n")
    this.#open = ""
    this.#flush()
    this.#cuts.push({ schema: this.#schema ?? "" })
    this.#partBytes = 0
  }

  #closeInsert(): void {
    if (this.#open !== "") this.#emit(";\n")
    this.#open = ""
    this.#prefix = ""
    this.#fresh = false
    this.#rows?.digest()
    if (this.#endsPart === null) this.#rows = null
  }

  #endLine(): void {
    const line = this.#takeLine()
    this.#closeInsert()
    const [, marked] = MARKER.exec(line) ?? []
    if (marked !== undefined) {
      this.#schema = name(marked)
      this.#flush()
      this.#cuts.push({ schema: this.#schema })
      return
    }
    if (line.startsWith("--")) {
      this.#comment(line)
      return
    }
    if (this.#schema === null) {
      if (line.startsWith("/*")) this.header += line
      return
    }
    // What a whole dump ends with sets back what its header set; empty lines are not alike with and without views.
    if (line === "\n" || /^\/\*!\d+ SET [A-Z_]+=@OLD_/.test(line)) return
    const [, table] = CREATE.exec(line) ?? []
    if (table !== undefined) this.#statsOf(name(table))
    this.#emit(line)
  }

  #comment(line: string): void {
    if (LANDMARK.test(line)) this.#emit(`\n${line}`)
    if (line.startsWith("-- Dump completed")) this.completed = true
    const at =
      this.#schema === null
        ? /^-- CHANGE (?:MASTER|REPLICATION SOURCE) TO .*_LOG_FILE='([^']+)'.*_LOG_POS=(\d+)/.exec(line)
        : null
    if (at !== null) this.position = { file: at[1] ?? "", offset: Number(at[2]) }
    this.gtid = /^-- SET GLOBAL gtid_slave_pos='([^']*)'/.exec(line)?.[1] ?? this.gtid
  }

  #emit(text: string): void {
    this.#bytes.push(Buffer.from(text, "latin1"))
    this.#partBytes += text.length
  }

  #statsOf(table: string): TableStats {
    const schema = this.#schema ?? ""
    const tables = this.tables.get(schema) ?? new Map<string, TableStats>()
    this.tables.set(schema, tables)
    const stats = tables.get(table) ?? noRows()
    tables.set(table, stats)
    return stats
  }
}

/** A name as SQL quotes it, without its quotes. */
const name = (quoted: string): string => quoted.replaceAll("``", "`")

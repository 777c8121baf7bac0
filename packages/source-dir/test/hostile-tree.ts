// A tree of everything that goes wrong in backups, made on the real file system, for tests that list, restore or compare.
// Needs root (devices, owners). The same call always makes the same names, content, modes and owners; times are now
// where none is set on purpose.

import { execFileSync } from "node:child_process"
import { createCipheriv } from "node:crypto"
import * as fs from "node:fs"
import { createServer } from "node:net"
import { toByteString } from "@backup-cloud/format"

/** Names that programs stumble over, as byte strings. Each is a regular file in `names/` and a directory in `folders/`. */
export const hostileNames: readonly string[] = [
  "new\nline",
  "\n",
  "line end\n",
  "tab\tname",
  "carriage\rreturn",
  "\x01\x1b[31mred\x7f",
  "-",
  "-rf",
  "--help",
  " leading",
  "trailing  ",
  "quo'te",
  'dou"ble',
  "back\\slash",
  "\\012",
  "\\",
  "*",
  "?",
  "[a-z]",
  "{a,b}",
  "$(touch x)",
  "`touch x`",
  ";x&y|z",
  "# file: names",
  "%2D",
  "100%",
  "~",
  "=",
  "name=value",
  ".hidden",
  "..two",
  "...",
  "+ plus",
  "a",
  "a-b",
  "a.b",
  "a0",
  "invalid-\xff\xfe",
  "\x80",
  toByteString("ä"),
  toByteString("a\u0308"),
  toByteString("\u{1f4be}"),
  toByteString("\u202egnp.exe"),
  "n".repeat(255),
  toByteString("ä".repeat(127)),
]

/** The same bytes every time, which no compressor makes smaller. */
function noise(length: number): Buffer {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(length))
}

export interface HostileTreeOptions {
  /** Also a file of 20 MB. Default false. */
  readonly bigFile?: boolean
}

/**
 * Makes the tree in `dir`, which must not exist; its parent must. Keep the path below 80 characters: it holds a socket.
 */
export async function makeHostileTree(dir: string, options: HostileTreeOptions = {}): Promise<void> {
  fs.mkdirSync(dir)
  makeNames(dir)
  makeFiles(dir, options.bigFile ?? false)
  makeLinks(dir)
  await makeSpecials(dir)
  makeModes(dir)
  makeTimes(dir)
}

function bytes(text: string): Buffer {
  return Buffer.from(text, "latin1")
}

function makeNames(dir: string): void {
  fs.mkdirSync(`${dir}/names`)
  fs.mkdirSync(`${dir}/folders`)
  for (const name of hostileNames) {
    fs.writeFileSync(bytes(`${dir}/names/${name}`), bytes(`content of ${name}`))
    fs.mkdirSync(bytes(`${dir}/folders/${name}`))
    fs.writeFileSync(bytes(`${dir}/folders/${name}/inside`), bytes(name))
  }
}

function makeFiles(dir: string, bigFile: boolean): void {
  fs.mkdirSync(`${dir}/sizes`)
  const sizes = [0, 1, 2, 511, 512, 513, 4095, 4096, 4097, 65_536, 262_143, 262_144, 262_145, 1_048_576, 4_194_305]
  for (const size of bigFile ? [...sizes, 20_000_000] : sizes)
    fs.writeFileSync(`${dir}/sizes/noise-${size}`, noise(size))
  fs.writeFileSync(`${dir}/sizes/zeros`, Buffer.alloc(3_000_000))
  fs.writeFileSync(`${dir}/sizes/text`, "All work and no play makes a dull tree.\n".repeat(50_000))
  fs.writeFileSync(`${dir}/sizes/twin`, noise(1_048_576))

  fs.mkdirSync(`${dir}/sparse`)
  for (const [name, at, size] of [
    ["hole", 0, 10_000_000],
    ["middle", 5_000_000, 10_000_000],
    ["end", 9_995_904, 10_000_000],
  ] as const) {
    const fd = fs.openSync(`${dir}/sparse/${name}`, "wx")
    fs.ftruncateSync(fd, size)
    if (name !== "hole") fs.writeSync(fd, noise(4096), 0, 4096, at)
    fs.closeSync(fd)
  }

  fs.mkdirSync(`${dir}/empty/empty/empty`, { recursive: true })
  let deep = `${dir}/deep`
  for (let level = 0; level < 60; level++) deep += `/level-${level}`
  fs.mkdirSync(deep, { recursive: true })
  fs.writeFileSync(`${deep}/bottom`, "bottom")
}

function makeLinks(dir: string): void {
  fs.mkdirSync(`${dir}/links`)
  const targets: Record<string, string> = {
    relative: "../sizes/text",
    absolute: "/etc/hostname",
    dangling: "no/such/file",
    directory: "../sizes",
    "directory-slash": "../sizes/",
    itself: "itself",
    up: "../..",
    dash: "-",
    "with space": "a target with spaces ",
    newline: "new\nline",
    invalid: "\xff\xfe\x80",
    long: `${"x".repeat(250)}/`.repeat(15),
  }
  for (const [name, target] of Object.entries(targets)) fs.symlinkSync(bytes(target), `${dir}/links/${name}`)
  fs.lchownSync(`${dir}/links/dangling`, 1234, 5678)

  fs.mkdirSync(`${dir}/hard/a/b`, { recursive: true })
  fs.writeFileSync(`${dir}/hard/a/b/first`, noise(70_000))
  fs.linkSync(`${dir}/hard/a/b/first`, `${dir}/hard/a/second`)
  fs.linkSync(`${dir}/hard/a/b/first`, bytes(`${dir}/hard/third\n\xff`))
  fs.writeFileSync(`${dir}/hard/empty-1`, "")
  fs.linkSync(`${dir}/hard/empty-1`, `${dir}/hard/empty-2`)
  fs.symlinkSync("nowhere", `${dir}/hard/symlink-1`)
  fs.linkSync(`${dir}/hard/symlink-1`, `${dir}/hard/symlink-2`)
}

async function makeSpecials(dir: string): Promise<void> {
  fs.mkdirSync(`${dir}/special`)
  execFileSync("mkfifo", [`${dir}/special/fifo`])
  fs.linkSync(`${dir}/special/fifo`, `${dir}/special/fifo-hard-link`)
  execFileSync("mknod", [`${dir}/special/null`, "c", "1", "3"])
  // Numbers beyond 8 bits are laid out in two parts of the device number.
  execFileSync("mknod", [`${dir}/special/char`, "c", "300", "70000"])
  execFileSync("mknod", [`${dir}/special/block`, "b", "7", "259"])
  await makeSocket(`${dir}/special/socket`)
}

/** A server removes its socket when it ends, unless the name has gone elsewhere by then. */
function makeSocket(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on("error", reject)
    server.listen(`${path}~`, () => {
      fs.renameSync(`${path}~`, path)
      server.close(() => {
        resolve()
      })
    })
  })
}

function makeModes(dir: string): void {
  fs.mkdirSync(`${dir}/modes`)
  for (const mode of [0o000, 0o400, 0o444, 0o600, 0o644, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777]) {
    const file = `${dir}/modes/${mode.toString(8).padStart(4, "0")}`
    fs.writeFileSync(file, `mode ${mode}`)
    // An owner is set first, since that takes the set-id bits away.
    fs.chownSync(file, 1000 + mode, 4_294_967_294 - mode)
    fs.chmodSync(file, mode)
  }
  for (const mode of [0o000, 0o555, 0o700, 0o1777, 0o2775]) {
    const folder = `${dir}/modes/dir-${mode.toString(8).padStart(4, "0")}`
    fs.mkdirSync(folder)
    fs.writeFileSync(`${folder}/inside`, "inside")
    fs.chownSync(folder, 65_534, 100)
    fs.chmodSync(folder, mode)
  }
}

/** Last, since anything made in a directory changes its time. */
function makeTimes(dir: string): void {
  fs.mkdirSync(`${dir}/times`)
  const times: Record<string, string> = {
    nanoseconds: "@1234567890.123456789",
    "one-nanosecond": "@1700000000.000000001",
    "almost-next": "@1700000000.999999999",
    "whole-second": "@1000000000",
    "before-1970": "1960-02-29 12:34:56.987654321 UTC",
    "just-before-1970": "1969-12-31 23:59:59.500000000 UTC",
    epoch: "@0",
    "after-2038": "2100-01-01 00:00:00.000000002 UTC",
  }
  for (const [name, time] of Object.entries(times)) {
    fs.writeFileSync(`${dir}/times/${name}`, name)
    fs.symlinkSync(name, `${dir}/times/${name}.link`)
    fs.mkdirSync(`${dir}/times/${name}.dir`)
    fs.writeFileSync(`${dir}/times/${name}.dir/inside`, name)
    const names = [name, `${name}.link`, `${name}.dir`].map((each) => `${dir}/times/${each}`)
    execFileSync("touch", ["-h", "-m", "-d", time, ...names])
  }
  execFileSync("touch", [
    "-m",
    "-d",
    "2011-11-11 11:11:11.111111111 UTC",
    `${dir}/modes/dir-0555`,
    `${dir}/special/fifo`,
  ])
  execFileSync("touch", ["-m", "-d", "2001-02-03 04:05:06.000000007 UTC", `${dir}/times`, `${dir}/names`, dir])
}

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { test } from "node:test"
import { parseAcls, parseXattrs } from "../src/extras.ts"
import { hostileNames } from "./hostile-tree.ts"
import { byPath, list, listElsewhere, temporary } from "./list.ts"

const NOBODY = 65_534

/** Runs a program with a name of any bytes as its last argument. */
function withName(program: string, args: readonly string[], name: string): void {
  execFileSync("xargs", ["-0", program, ...args, "--"], { input: Buffer.from(`${name}\0`, "latin1") })
}

test("extended attributes of hostile names, with values of any bytes", async (t) => {
  const root = temporary(t)
  for (const [i, name] of hostileNames.entries()) {
    fs.writeFileSync(Buffer.from(`${root}/${name}`, "latin1"), "")
    withName("setfattr", ["-n", "user.number", "-v", `0x00ff0a${i.toString(16).padStart(2, "0")}`], `${root}/${name}`)
  }
  fs.writeFileSync(`${root}/b`, "")
  execFileSync("setfattr", ["-n", "user.empty", `${root}/b`])
  execFileSync("setfattr", ["-n", "user.a=b\n# file: c", "-v", "x", `${root}/b`])
  fs.writeFileSync(`${root}/none`, "")
  fs.linkSync(`${root}/b`, `${root}/b-hard`)
  fs.symlinkSync("b", `${root}/link`)
  execFileSync("setfattr", ["-h", "-n", "trusted.of-the-link", "-v", "y", `${root}/link`])
  execFileSync("setfattr", ["-n", "user.top", "-v", "z", root])

  const entries = byPath(await list({ root, xattrs: true }))
  const xattrs = (path: string) =>
    [...(entries.get(path)?.attributes ?? [])].filter(([name]) => name.startsWith("xattr."))
  for (const [i, name] of hostileNames.entries())
    assert.deepEqual(xattrs(name), [["xattr.user.number", `\x00\xff\n${String.fromCharCode(i)}`]], JSON.stringify(name))
  assert.deepEqual(xattrs("b"), [
    ["xattr.user.a=b\n# file: c", "x"],
    ["xattr.user.empty", ""],
  ])
  assert.deepEqual(xattrs("none"), [])
  assert.deepEqual(xattrs("b-hard"), [])
  assert.deepEqual(xattrs("link"), [["xattr.trusted.of-the-link", "y"]])
  assert.deepEqual(xattrs("."), [["xattr.user.top", "z"]])
  assert.ok((await list({ root })).every((e) => [...e.attributes.keys()].every((name) => !name.startsWith("xattr."))))
})

test("access lists, as getfacl writes them", async (t) => {
  const root = temporary(t)
  for (const name of hostileNames) {
    fs.writeFileSync(Buffer.from(`${root}/${name}`, "latin1"), "")
    withName("setfacl", ["-m", "u:1234:rwx,m::r"], `${root}/${name}`)
  }
  fs.writeFileSync(`${root}/none`, "")
  fs.symlinkSync("none", `${root}/link`)
  fs.symlinkSync(".", `${root}/link-to-directory`)
  fs.mkdirSync(`${root}/directory`)
  execFileSync("setfacl", ["-d", "-m", "g:77:rx", `${root}/directory`])
  fs.chmodSync(`${root}/directory`, 0o750)

  const entries = byPath(await list({ root, acls: true, xattrs: true }))
  const extra = (path: string) =>
    Object.fromEntries([...(entries.get(path)?.attributes ?? [])].filter(([name]) => /^(acl|xattr|lacks)/.test(name)))
  for (const name of hostileNames) {
    const acl = "user::rw-\nuser:1234:rwx\ngroup::r--\nmask::r--\nother::r--\n"
    assert.deepEqual(extra(name), { acl }, JSON.stringify(name))
  }
  for (const path of [".", "none", "link", "link-to-directory"]) assert.deepEqual(extra(path), {}, path)
  assert.deepEqual(extra("directory"), {
    "acl.default":
      "default:user::rwx\ndefault:group::r-x\ndefault:group:77:r-x\ndefault:mask::r-x\ndefault:other::r-x\n",
  })

  // Asked for as attributes only, access lists are among them: nothing is lost without a word.
  const only = byPath(await list({ root, xattrs: true }))
  assert.ok(only.get("a")?.attributes.has("xattr.system.posix_acl_access"))
})

test("a file whose attributes may not be read lacks them, and its neighbours do not", (t) => {
  const root = temporary(t)
  fs.chmodSync(root, 0o755)
  for (const name of ["a", "b", "c", "d"]) {
    fs.writeFileSync(`${root}/${name}`, "")
    execFileSync("setfattr", ["-n", "user.x", "-v", "1", `${root}/${name}`])
  }
  fs.chmodSync(`${root}/c`, 0o600)
  const seen = (uid: number): Record<string, unknown> =>
    Object.fromEntries(
      listElsewhere({ root, xattrs: true }, { uid }).entries.map(({ path, attributes }) => [
        path,
        attributes["lacks"] ?? attributes["xattr.user.x"] ?? null,
      ]),
    )
  assert.deepEqual(seen(NOBODY), { ".": null, a: "1", b: "1", c: "xattr", d: "1" })
  assert.deepEqual(seen(0), { ".": null, a: "1", b: "1", c: "1", d: "1" })
})

test("a program that is missing is named, with the command that brings it", (t) => {
  const root = temporary(t)
  const bin = temporary(t)
  const which = (program: string): string => execFileSync("which", [program], { encoding: "utf8" }).trim()
  const cases = [
    ["xargs", "findutils", { xattrs: true }],
    ["getfattr", "attr", { xattrs: true }],
    ["getfacl", "acl", { acls: true }],
  ] as const
  for (const [program, from, options] of cases) {
    const attempt = () => listElsewhere({ root, ...options }, { env: { PATH: bin } }).fault
    const fault = attempt()
    assert.equal(fault?.fault, "unavailable")
    assert.ok(fault.message.startsWith(`${program},`), fault.message)
    assert.equal(fault.hint, `install it: apt-get install ${from}`)
    fs.symlinkSync(which(program), `${bin}/${program}`)
    if (program !== "xargs") assert.equal(attempt(), null)
  }
})

test("a batch longer than a command line may be is split", async (t) => {
  const root = `${temporary(t)}/${"d".repeat(250)}/${"e".repeat(250)}/${"f".repeat(250)}`
  fs.mkdirSync(root, { recursive: true })
  for (let i = 0; i < 500; i++) fs.writeFileSync(`${root}/${"n".repeat(240)}-${i}`, "")
  // About a million bytes of names: xargs makes several command lines of at most 128 KiB each.
  const last = `${"n".repeat(240)}-499`
  execFileSync("setfattr", ["-n", "user.x", "-v", "1", `${root}/${last}`])
  const entries = byPath(await list({ root, xattrs: true, acls: true }))
  assert.equal(entries.size, 501)
  assert.equal(entries.get(last)?.attributes.get("xattr.user.x"), "1")
})

test("what the programs print is read line by line, whatever names and values hold", () => {
  const dump =
    "# file: /a\\012# file: /b\nuser.x=0x00ff\nuser.e=0x\n\n# file: /c\\134\nsystem.posix_acl_access=0x02\n\n"
  assert.deepEqual(
    parseXattrs(dump, true),
    new Map([
      [
        "/a\n# file: /b",
        new Map([
          ["xattr.user.x", "\x00\xff"],
          ["xattr.user.e", ""],
        ]),
      ],
      ["/c\\", new Map()],
    ]),
  )
  assert.deepEqual(parseXattrs(dump, false).get("/c\\"), new Map([["xattr.system.posix_acl_access", "\x02"]]))
  const acl =
    "# file: /a\\\\012\n# owner: 0\n# group: 0\n# flags: s--\nuser::rwx\ngroup::r-x\nother::---\ndefault:user::rwx\n\n"
  assert.deepEqual(parseAcls(acl), new Map([["/a\\012", new Map([["acl.default", "default:user::rwx\n"]])]]))
})

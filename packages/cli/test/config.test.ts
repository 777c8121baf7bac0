// Which of flag, environment, folder and home decides, what a configuration file may hold, and what misuse ends with.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { run, type Surroundings } from "./run.ts"

const place = mkdtempSync(join(tmpdir(), "bcc-"))
after(() => {
  rmSync(place, { recursive: true })
})

let places = 0
/** An empty home folder and an empty working folder. */
function fresh(env: Readonly<Record<string, string>> = {}): Surroundings & { home: string } {
  const base = join(place, String(places++))
  const home = join(base, "home")
  const cwd = join(base, "work")
  mkdirSync(join(home, ".config/backup-cloud"), { recursive: true })
  mkdirSync(cwd)
  return { cwd, home, env: { PATH: process.env["PATH"] ?? "", HOME: home, ...env } }
}

/** The bucket of the archive that the program decides for. */
async function bucket(where: Surroundings, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run(where, "policy", "print", "--role", "administrator", ...args)
  assert.equal(status, 0, stderr)
  return /arn:aws:s3:::([a-z-]+)/.exec(stdout)?.[1] ?? stdout
}

test("the archive: flag over environment over ./backup-cloud.yaml over the home's", async () => {
  const where = fresh()
  writeFileSync(join(where.home, ".config/backup-cloud/backup-cloud.yaml"), "archive: s3://by-home/a\n")
  assert.equal(await bucket(where), "by-home")
  writeFileSync(join(where.cwd, "backup-cloud.yaml"), "archive: s3://by-folder/a\n")
  assert.equal(await bucket(where), "by-folder")
  const env = { ...where.env, BACKUP_CLOUD_ARCHIVE: "s3://by-environment/a" }
  assert.equal(await bucket({ ...where, env }), "by-environment")
  assert.equal(await bucket({ ...where, env }, "--archive", "s3://by-flag/a"), "by-flag")
  writeFileSync(join(where.cwd, "other.yaml"), "archive: s3://by-named-file/a\n")
  const named = { ...where.env, BACKUP_CLOUD_CONFIG: "other.yaml" }
  assert.equal(await bucket({ ...where, env: named }), "by-named-file")
  writeFileSync(join(where.cwd, "third.yaml"), "archive: s3://by-config-flag/a\n")
  assert.equal(await bucket({ ...where, env: named }, "--config", "third.yaml"), "by-config-flag")
})

test("the home: flag over environment over yaml over XDG_CONFIG_HOME over HOME", async () => {
  const where = fresh()
  const home = async (env: Readonly<Record<string, string>>, ...args: string[]): Promise<string> => {
    const { stdout } = await run({ ...where, env: { ...where.env, ...env } }, "doctor", ...args)
    return /^(?:ok|FAIL) +(\S+) is for its owner alone(?::|$)/m.exec(stdout)?.[1] ?? stdout
  }
  assert.equal(await home({}), join(where.home, ".config/backup-cloud"))
  const xdg = { XDG_CONFIG_HOME: join(where.home, "xdg") }
  assert.equal(await home(xdg), join(where.home, "xdg/backup-cloud"))
  writeFileSync(join(where.cwd, "backup-cloud.yaml"), "home: by-yaml\n")
  assert.equal(await home(xdg), join(where.cwd, "by-yaml"))
  const env = { ...xdg, BACKUP_CLOUD_HOME: "by-environment" }
  assert.equal(await home(env), join(where.cwd, "by-environment"))
  assert.equal(await home(env, "--home", "by-flag"), join(where.cwd, "by-flag"))
})

test("a file in the working folder is used instead of the home's, not besides it", async () => {
  const where = fresh()
  const wants = async (): Promise<string[]> => {
    const { stdout } = await run(where, "doctor")
    return [...stdout.matchAll(/^(?:ok|FAIL) +(getfattr|getfacl) is installed/gm)].map((match) => match[1] ?? "")
  }
  const source = (wish: string): string => `sources: { docs: { url: "dir:///x", ${wish}: true } }\n`
  writeFileSync(join(where.home, ".config/backup-cloud/backup-cloud.yaml"), source("xattrs"))
  assert.deepEqual(await wants(), ["getfattr"])
  writeFileSync(join(where.cwd, "backup-cloud.yaml"), source("acls"))
  assert.deepEqual(await wants(), ["getfacl"])
})

/** What is wrong with a configuration, its text, and what the message says. */
const wrong: readonly (readonly [string, string, string])[] = [
  ["an unknown name", "archive: s3://a/b\nretention: 3\n", "retention is not a name that belongs here"],
  [
    "an unknown name in a source",
    "sources: { docs: { url: 'dir:///x', password: y } }\n",
    "sources.docs.password is not a name that belongs here",
  ],
  ["a source without an address", "sources: { docs: { include: [a] } }\n", "sources.docs.url is missing"],
  ["a wrong type", "archive: [1]\n", "archive must be a string, not Array"],
  [
    "a wrong type in a list",
    "sources: { docs: { url: 'dir:///x', include: [a, 1] } }\n",
    "sources.docs.include.1 must be a string, not 1",
  ],
  ["a name that no source has", "sources: { '../docs': { url: 'dir:///x' } }\n", '"../docs" is no name of a source'],
  ["a list in place of names", "- archive\n", "it must be names with values"],
  ["text that is no yaml", "archive: 'unfinished\n", "Missing closing 'quote at line 2"],
  ["a name given twice", "archive: a\narchive: b\n", "Map keys must be unique at line 2"],
]
for (const [what, text, why] of wrong) {
  test(`a configuration with ${what} is refused, and says where`, async () => {
    const where = fresh()
    const file = join(where.cwd, "backup-cloud.yaml")
    writeFileSync(file, text)
    const { status, stderr } = await run(where, "policy", "print", "--role", "administrator")
    assert.equal(status, 2, stderr)
    assert.ok(stderr.startsWith(`backup-cloud: ${file}: ${why}`), stderr)
    assert.match(stderr, /nothing was done/)
    writeFileSync(file, "archive: s3://mended/b\n")
    assert.equal(await bucket(where), "mended")
  })
}

/** Misuse, and what the message must name. */
const misuse: readonly (readonly [string, string])[] = [
  ["", "Usage"],
  ["frobnicate", "frobnicate"],
  ["backup --frob", "--frob"],
  ["backup --prove some", "--prove"],
  ["runs a b", "too many arguments"],
  ["init --admin a --holder b", "archive"],
  ["init x", "--admin"],
  ["init x --admin a", "--holder"],
  ["trust x NOTHEX", "NOTHEX"],
  ["source", "Usage"],
  ["source add docs", "url"],
  ["source add Bad_Name dir:///x", "Bad_Name"],
  ["source add docs http://x/y", "http://x/y"],
  ["source add docs dir://host/x", "dir://host/x"],
  ["source set docs", "--schedule"],
  ["schedule ../docs", "../docs"],
  ["holder retire ZZ", "ZZ"],
  ["request docs@latest --out o", "--reason"],
  ["request docs@latest --reason r", "--out"],
  ["request docs@latest --reason r --out o --catalogue --path x", "--catalogue and --path"],
  ["request docs@latest --reason r --out o --path x", "catalogue must be released first"],
  ["request docs --reason r --out o", '"docs" does not name a run'],
  ["restore docs@latest --to y", "--release"],
  ["restore docs@latest --release x", "--to"],
  ["restore docs@a@b --release x --to y", "docs@a@b"],
  ["files --release x", "run"],
  ["keyholder approve f", "--out"],
  ["keyholder deny f", "--reason"],
  ["policy print", "--role"],
  ["policy print --role owner", "owner"],
  ["policy print --role source --archive s3://a/b", "--source"],
  ["policy print --role operator --archive /x", "/x"],
  ["policy print --role operator", "--archive"],
]

test("every misuse ends with 2 and names what is wrong", async () => {
  const where = fresh()
  const check = async ([line, named]: readonly [string, string]): Promise<void> => {
    const { status, stdout, stderr } = await run(where, ...line.split(" ").filter((word) => word !== ""))
    assert.equal(status, 2, `${line}: ${stdout}${stderr}`)
    assert.ok(stderr.includes(named), `${line}: ${stderr}`)
    assert.equal(stdout, "", line)
  }
  // Two at a time: each is a process of its own.
  for (let at = 0; at < misuse.length; at += 2) await Promise.all(misuse.slice(at, at + 2).map(check))
})

test("misuse is an event with --json", async () => {
  for (const args of [["backup", "--frob"], ["policy", "print", "--role", "operator"], ["frobnicate"]]) {
    const { status, stdout } = await run(fresh(), ...args, "--json")
    assert.equal(status, 2)
    const { v, event, fault, message } = JSON.parse(stdout) as Record<string, unknown>
    assert.deepEqual({ v, event, fault }, { v: 1, event: "error", fault: "usage" })
    assert.ok(typeof message === "string" && message !== "")
  }
})

// What recover.sh does beside restoring: how it is told the passphrases, what it says, where it stops, what it leaves
// behind, and that no secret of it can be seen. In the first environment only: nothing here depends on the tools.

import assert from "node:assert/strict"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { loadVectors, unpackVector, type Vector, vectorFile } from "../../vectors/load.ts"
import { finished, hostPrograms, type Outcome, pathOf, recoverScript } from "./environments.ts"

const vectors = loadVectors()
const base = mkdtempSync(join(tmpdir(), "recovery-"))
after(() => {
  rmSync(base, { recursive: true, force: true })
})
const path = pathOf(join(base, "path"), hostPrograms("mawk"))
mkdirSync(join(base, "home"), { mode: 0o700 })

function unpacked(name: string): { of: Vector; archive: string; target: string; release: string } {
  const of = vectors.find((each) => each.name === name)
  assert.ok(of, `no vector ${name}`)
  const directory = mkdtempSync(join(base, "v-"))
  unpackVector(of, join(directory, "archive"))
  writeFileSync(join(directory, "archive/recover.sh"), recoverScript)
  return {
    of,
    archive: join(directory, "archive"),
    target: join(directory, "target"),
    release: of.release === "" ? "" : vectorFile(of.release),
  }
}

async function run(
  archive: string,
  args: readonly string[],
  input?: Buffer,
  more: Record<string, string> = {},
): Promise<Outcome> {
  const env = { PATH: path, HOME: join(base, "home"), GNUPGHOME: join(base, "home"), ...more }
  return await finished(["/bin/sh", join(archive, "recover.sh"), ...args], env, input)
}

test("without --admin it says so in large letters, and succeeds", async () => {
  const { of, archive, target, release } = unpacked("small")
  const done = await run(archive, ["--passphrases", release, of.source, of.run, target])
  assert.equal(done.code, 0, done.err)
  assert.match(done.err, /NOT AUTHENTICATED/)
  const again = await run(archive, ["--admin", of.admin, "--passphrases", release, of.source, of.run, `${target}-2`])
  assert.doesNotMatch(again.err, /NOT AUTHENTICATED/)
})

test("another administrator than the archive's is refused", async () => {
  const { of, archive, target, release } = unpacked("small")
  const done = await run(archive, [
    "--admin",
    `0${of.admin.slice(0, 39)}`,
    "--passphrases",
    release,
    of.source,
    of.run,
    target,
  ])
  assert.equal(done.code, 31, done.err)
  assert.deepEqual(readdirSync(target), [])
})

test("the release is read from standard input, so that gpg -d can be piped in", async () => {
  const { of, archive, target, release } = unpacked("small")
  const done = await run(
    archive,
    ["--admin", of.admin, "--passphrases", "/dev/stdin", of.source, of.run, target],
    readFileSync(release),
  )
  assert.equal(done.code, 0, done.err)
})

test("a release of another run opens nothing; the right one beside it opens all", async () => {
  const { of, archive, target, release } = unpacked("small")
  const other = vectorFile("releases/small-earlier.json")
  const done = await run(archive, ["--admin", of.admin, "--passphrases", other, of.source, of.run, target])
  assert.equal(done.code, 30, done.err)
  assert.deepEqual(readdirSync(target), [])
  const both = await run(archive, [
    "--admin",
    of.admin,
    "--passphrases",
    other,
    "--passphrases",
    release,
    of.source,
    of.run,
    target,
  ])
  assert.equal(both.code, 0, both.err)
})

test("a release of another archive, and what is no release, are refused", async () => {
  const { of, archive, target } = unpacked("small")
  for (const file of ["releases/good-complete.json", "index.json", "keys.json"]) {
    const done = await run(archive, ["--admin", of.admin, "--passphrases", vectorFile(file), of.source, of.run, target])
    assert.equal(done.code, 31, `${file}: ${done.err}`)
    assert.deepEqual(readdirSync(target), [])
  }
})

test("it stops at erasures, and goes on when told", async () => {
  const { of, archive, target, release } = unpacked("erasure-present")
  const args = ["--admin", of.admin, "--passphrases", release, of.source, of.run, target]
  assert.equal((await run(archive, args)).code, 12)
  assert.ok(!existsSync(target))
  const done = await run(archive, ["--without-erasures", ...args])
  assert.equal(done.code, 0, done.err)
})

test("a directory that holds something is not written to", async () => {
  const { of, archive, target, release } = unpacked("small")
  mkdirSync(target)
  writeFileSync(join(target, ".mine"), "x")
  const args = ["--admin", of.admin, "--passphrases", release, of.source, of.run, target]
  assert.equal((await run(archive, args)).code, 12)
  assert.deepEqual(readdirSync(target), [".mine"])
  rmSync(join(target, ".mine"))
  assert.equal((await run(archive, args)).code, 0)
})

test("arguments that make no sense, runs that do not exist, tools that are missing", async () => {
  const { of, archive, target, release } = unpacked("small")
  const good = ["--passphrases", release, of.source, of.run, target]
  for (const args of [
    [],
    ["files"],
    ["--frobnicate", ...good],
    ["--admin", "ab", ...good],
    ["../files", of.run, target],
    ["files", "../x", target],
    ["files", `${of.run}/..`, target],
  ]) {
    assert.equal((await run(archive, args)).code, 2, args.join(" "))
  }
  assert.equal((await run(archive, ["files", of.run.replace(/b$/, "c"), target])).code, 10)
  assert.equal((await run(archive, ["other", of.run, target])).code, 10)
  const others = Object.fromEntries(Object.entries(hostPrograms("mawk")).filter(([name]) => name !== "zstd"))
  const lacking = await run(archive, good, undefined, { PATH: pathOf(join(base, "lacking"), others) })
  assert.equal(lacking.code, 20)
  assert.match(lacking.err, /zstd/)
})

test("no secret is in an argument, the environment or a file, and nothing is left behind", async () => {
  const { of, archive, target, release } = unpacked("small")
  // Every program is wrapped: it notes its arguments and environment, and looks at all that was written so far.
  const temporary = mkdtempSync(join(base, "t"))
  const log = join(base, "log")
  const keys = JSON.parse(readFileSync(vectorFile("keys.json"), "utf8")) as {
    runs: { run: string; key: string; passphrases: { passphrase: string }[] }[]
  }
  const secrets = keys.runs.flatMap((each) => [each.key, ...each.passphrases.map((other) => other.passphrase)])
  writeFileSync(join(base, "secrets"), `${secrets.join("\n")}\n`)
  const wrapped = join(base, "wrapped")
  mkdirSync(wrapped)
  for (const [name, file] of Object.entries(hostPrograms("mawk"))) {
    const search = `/usr/bin/find ${target} ${temporary} -type f -exec /bin/grep -lFf ${join(base, "secrets")} {} + </dev/null >>${log}.files 2>/dev/null`
    writeFileSync(
      join(wrapped, name),
      `#!/bin/sh\n{ printf '%s\\n' ${name} "$@"; /usr/bin/env; } >>${log}\n[ ${name} != rm ] || ${search}\nexec ${file} "$@"\n`,
    )
    chmodSync(join(wrapped, name), 0o755)
  }
  const args = ["--admin", of.admin, "--passphrases", release, of.source, of.run, target]
  const done = await run(archive, args, undefined, { PATH: wrapped, TMPDIR: temporary })
  assert.equal(done.code, 0, done.err)
  const seen = readFileSync(log, "latin1")
  assert.ok(seen.includes("--passphrase-fd"), "the wrappers saw nothing")
  assert.equal(readFileSync(`${log}.files`, "latin1"), "")
  for (const secret of secrets) {
    assert.ok(!seen.includes(secret))
    assert.ok(!done.err.includes(secret))
  }
  assert.deepEqual(readdirSync(temporary), [])
  assert.deepEqual(readdirSync(target).sort(), ["d", "l", "one", "three", "two"])
})

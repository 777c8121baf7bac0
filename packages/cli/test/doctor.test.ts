// Every check of `doctor` passes here; each fails once what it looks at is broken, with exit code 40 and a way to mend it,
// and passes again once that is mended.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { exitCode, names } from "@backup-cloud/format"
import { of, run } from "./run.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
const home = join(world.file("machine"), "backup-cloud")
const yaml = join(world.file("machine"), "backup-cloud.yaml")

before(() => {
  mkdirSync(data)
  writeFileSync(join(data, "a"), "first")
  world.start(data)
  world.machine("machine", "mail", data)
  world.ok("machine", "backup")
})
after(() => {
  world.end()
})

interface Checked {
  readonly name: string
  readonly ok: boolean
  readonly problem?: string
  readonly mend?: string
}

const isolated = { TMPDIR: world.file("tmp") }
mkdirSync(isolated.TMPDIR)

/** All checks, by name; the exit code must fit them. */
async function doctor(env: Readonly<Record<string, string>> = {}): Promise<Map<string, Checked>> {
  const { status, stdout, stderr } = await run(of(world, "machine", { ...isolated, ...env }), "doctor", "--json")
  const events = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Checked & { readonly event: string })
  const checks = events.filter((each) => each.event === "check")
  assert.ok(checks.length > 0, stdout + stderr)
  assert.equal(status, checks.every((check) => check.ok) ? 0 : exitCode["open-risk"], stdout + stderr)
  const byName = new Map(checks.map((check) => [check.name, check]))
  assert.equal(byName.size, checks.length, "two checks have one name")
  return byName
}

/** Checks that were seen to fail and then to pass. */
const tried = new Set<string>()

/** The check whose name begins so fails with what is broken, saying `problem`, and passes once it is mended. */
async function breaks(
  start: string,
  problem: RegExp,
  by: { readonly env?: Readonly<Record<string, string>>; readonly damage?: () => void; readonly mend?: () => void },
): Promise<Checked> {
  const find = (checks: Map<string, Checked>): Checked => {
    const [found, ...more] = [...checks.values()].filter((check) => check.name.startsWith(start))
    assert.ok(found !== undefined && more.length === 0, `${start}: ${[...checks.keys()].join(", ")}`)
    return found
  }
  by.damage?.()
  const broken = find(await doctor(by.env))
  assert.equal(broken.ok, false, start)
  assert.match(broken.problem ?? "", problem)
  assert.ok((broken.mend ?? "").length > 10, broken.mend)
  by.mend?.()
  const mended = find(await doctor())
  assert.equal(mended.ok, true, `${start}: ${mended.problem ?? ""}`)
  tried.add(broken.name)
  return broken
}

/** A PATH of links to what this one has, but for one program; in its place is what `instead` says, if anything. */
function pathWithout(lacking: string, instead?: string): { readonly PATH: string } {
  const bin = world.file(`bin-${lacking}-${instead === undefined ? "none" : "other"}`)
  mkdirSync(bin)
  const programs = ["gpg", "gpgv", "gpgconf", "gpg-agent", "zstd", "tar", "awk", "getfattr", "getfacl"]
  for (const name of programs) {
    const found = execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim()
    if (name !== lacking) symlinkSync(found, join(bin, name))
    else if (instead !== undefined) writeFileSync(join(bin, name), instead, { mode: 0o755 })
  }
  return { PATH: bin }
}

test("all is well on a machine as it should be, also in words", async () => {
  const checks = await doctor()
  assert.ok(checks.size >= 17, [...checks.keys()].join("\n"))
  const { status, stdout } = await run(of(world, "machine", isolated), "doctor")
  assert.equal(status, 0)
  const lines = [...checks.keys()].map((name) => `ok    ${name}`)
  assert.deepEqual(stdout.trimEnd().split("\n"), [...lines, `All ${checks.size} checks passed.`])
})

test("programs", async () => {
  await breaks("gpg is", /cannot be started/, { env: pathWithout("gpg") })
  const old = '#!/bin/sh\necho "gpg (GnuPG) 2.1.18"\n'
  await breaks("gpg is", /^this is gpg \(GnuPG\) 2\.1\.18$/, { env: pathWithout("gpg", old) })
  for (const name of ["zstd", "tar", "awk"])
    await breaks(`${name} is`, /in no folder of PATH/, { env: pathWithout(name) })
  const before = readFileSync(yaml, "utf8")
  const asked = before.replace(/(url: \S+)/, "$1, xattrs: true, acls: true")
  assert.notEqual(asked, before)
  writeFileSync(yaml, asked)
  for (const name of ["getfattr", "getfacl"])
    await breaks(`${name} is`, /in no folder of PATH/, { env: pathWithout(name) })
  writeFileSync(yaml, before)
})

test("what the sources here need: packages, and the programs that they run", async () => {
  const before = readFileSync(yaml, "utf8")
  const urls = [
    "postgres://x@127.0.0.1/",
    "mysql://x@127.0.0.1/",
    "git:https://host/x.git",
    "github:x",
    "s3://x",
    "ssm:/x",
  ]
  const more = urls.map((url, i) => `  more-${i}: { url: "${url}" }`).join("\n")
  writeFileSync(
    yaml,
    before.replace(/^sources: \{ (.*) \}$/m, (_, one: string) => `sources:\n  ${one}\n${more}`),
  )
  const programs = ["pg_dump", "psql", "mariadb-dump or mysqldump", "mariadb or mysql", "git"]
  const packages = ["postgres", "mysql", "git", "github", "s3", "ssm"]
  const [all, few] = [await doctor(), await doctor(pathWithout("none"))]
  for (const kind of packages) assert.equal(all.get(`the package @backup-cloud/source-${kind} is installed`)?.ok, true)
  for (const name of programs) {
    const check = [...all.keys()].find((each) => each.startsWith(`${name} is installed (a source is of kind `)) ?? ""
    assert.equal(all.get(check)?.ok, true, name)
    assert.equal(few.get(check)?.problem, "it is in no folder of PATH")
    tried.add(check)
  }
  writeFileSync(yaml, before)
})

test("what others may read: the printed command mends it", async () => {
  for (const [path, mode] of [
    [home, 0o750],
    [join(home, "sources"), 0o755],
    [join(home, "sources/mail/secret"), 0o640],
    [join(home, "sources/mail/signing-key.asc"), 0o604],
    [join(home, "trust.json"), 0o644],
  ] as const) {
    const { mend } = await breaks(home, new RegExp(`others may read ${path}$`), {
      damage: () => {
        chmodSync(path, mode)
      },
      mend: () => {
        execFileSync("sh", ["-c", `chmod -R go-rwx ${home}`])
      },
    })
    assert.equal(mend, `chmod -R go-rwx ${home}`)
  }
})

test("keyrings that an interrupted command left", async () => {
  const left = join(isolated.TMPDIR, "bc-Ab12Cd")
  mkdirSync(left)
  assert.ok(
    [...(await doctor()).values()].every((check) => check.ok),
    "one that is new may be in use",
  )
  const { mend } = await breaks("no interrupted command", /^1 are in /, {
    damage: () => {
      const time = new Date(Date.now() - 8 * 86_400_000)
      utimesSync(left, time, time)
    },
    mend: () => {
      execFileSync("sh", ["-c", `rm -r ${left}`])
    },
  })
  assert.equal(mend, `rm -r ${left}`)
})

test("trust, the archive, and its configuration", async () => {
  const memory = join(home, "trust.json")
  const kept = readFileSync(memory)
  const absent = await doctor({ BACKUP_CLOUD_HOME: world.file("nowhere") })
  assert.ok([...absent.keys()].some((name) => name.startsWith("this machine trusts")))
  assert.ok(
    ![...absent.keys()].some((name) => name.startsWith("the archive")),
    "nothing is said of what was not looked at",
  )
  const put = (): void => {
    writeFileSync(memory, kept)
  }
  await breaks("this machine trusts", /trusts nobody/, {
    damage: () => {
      rmSync(memory)
    },
    mend: put,
  })
  const broken = (): void => {
    writeFileSync(memory, "{}")
  }
  await breaks("this machine trusts", /is not what this program wrote/, { damage: broken, mend: put })

  const archive = "the archive can be read"
  await breaks(archive, /holds no archive/, { env: { BACKUP_CLOUD_ARCHIVE: world.file("no-archive") } })
  const other = kept.toString().replace(/"archive": "[0-9a-f]{32}"/, `"archive": "${"0".repeat(32)}"`)
  await breaks(archive, /this machine knows 0{32}/, {
    damage: () => {
      writeFileSync(memory, other)
    },
    mend: put,
  })
  const mend = world.keep()
  await breaks(archive, /a certificate that no policy names/, {
    damage: () => {
      writeFileSync(join(world.archive, `config/public-keys/mallory-${"0".repeat(16)}.asc`), "")
    },
    mend,
  })
})

/** Enrols somebody whose key ends after so many days. */
function enrol(name: string, role: "holder" | "operator", days: number): void {
  world.person(name, `${days}d`)
  const file = world.file(`${name}.asc`)
  if (role === "operator") world.ok("admin", "operator", "add", file)
  else cosigned("holder", "add", file)
}

/** A change of the holders, with alice's signature. */
function cosigned(...change: string[]): void {
  const proposal = world.file(`proposal-${change.join("-").replaceAll("/", "-")}`)
  world.ok("admin", ...change, "--out", proposal)
  world.ok("alice", "keyholder", "approve", proposal, "--out", `${proposal}.signed`, "--yes")
  world.ok("admin", "policy", "publish", `${proposal}.signed`)
}

test("keys of people that end", async () => {
  for (const [role, name] of [
    ["operator", "olga"],
    ["holder", "hana"],
  ] as const) {
    enrol(name, role, 80)
    const start = `the key of the ${role} ${name}`
    const ends = (await doctor()).get(`${start} does not end within 90 days`)
    assert.match(ends?.problem ?? "", /^it ends on 20[0-9]{2}-[0-9]{2}-[0-9]{2}$/)
    enrol(`${name}-long`, role, 100)
    assert.equal((await doctor()).get(`the key of the ${role} ${name}-long does not end within 90 days`)?.ok, true)
    tried.add(`${start} does not end within 90 days`)
    const fingerprint = world.fingerprints.get(name) ?? ""
    if (role === "operator") world.ok("admin", "operator", "remove", fingerprint)
    else cosigned("holder", "retire", fingerprint)
    assert.ok([...(await doctor()).values()].every((check) => check.ok))
  }
})

test("an administrator's key that ends", async () => {
  const other = new World()
  try {
    for (const [days, ok] of [
      [80, false],
      [100, true],
    ] as const) {
      const who = `admin-${days}`
      const fingerprint = other.person(who, `${days}d`)
      other.person(`alice-${days}`)
      const archive = other.file(`archive-${days}`)
      const holder = other.file(`alice-${days}.asc`)
      assert.match(
        other.as(who, "init", archive, "--admin", fingerprint, "--holder", holder).stderr,
        /WARNING: the key/,
      )
      const { stdout } = other.as(who, "doctor", "--json")
      const line = stdout.split("\n").find((each) => each.includes("the administrator's key does not end"))
      const check = JSON.parse(line ?? "{}") as Checked
      assert.equal(check.ok, ok, stdout)
      tried.add(check.name)
    }
  } finally {
    other.end()
  }
})

test("a source that the policy or the configuration does not have, or whose keys are not here", async () => {
  const before = readFileSync(yaml, "utf8")
  const configure = (text: string) => () => {
    writeFileSync(yaml, text)
  }
  const more = before.replace("sources: {", `sources: { docs: { url: "dir://${data}" },`)
  configure(more.replace("docs:", "letters:"))()
  assert.match((await doctor()).get("letters: the policy accepts its runs")?.problem ?? "", /no such source/)
  configure(more)()
  assert.match((await doctor()).get("docs: its keys are here, and the policy has them")?.problem ?? "", /they are not/)
  configure(before)()
  await breaks("mail: its keys are here", /they are not/, {
    damage: () => {
      renameSync(join(home, "sources/mail"), world.file("hidden"))
    },
    mend: () => {
      renameSync(world.file("hidden"), join(home, "sources/mail"))
    },
  })
  const where = `mail: ${yaml} says where it is`
  await breaks(where, /does not name the source/, {
    damage: configure(before.replace(/^sources:.*$/m, "")),
    mend: configure(before),
  })
})

test("a source's key that the policy has ended or does not have", async () => {
  const accepts = "mail: the policy accepts its runs"
  world.ok("admin", "source", "remove", "mail")
  assert.match((await doctor()).get(accepts)?.problem ?? "", /has ended its key/)
  // As the printed commands say it: the machine makes a key, the administrator enrols it.
  world.ok("machine", "source", "keygen", "mail", "--again", "--out", world.file("next.asc"))
  world.ok("admin", "source", "rekey", "mail", "--certificate", world.file("next.asc"))
  assert.equal((await doctor()).get(accepts)?.ok, true)
  tried.add(accepts)
  const key = join(home, "sources/mail/signing-key.asc")
  world.ok("machine", "backup")
  const kept = readFileSync(key)
  const docs = readFileSync(join(world.file("admin"), "backup-cloud/sources/docs/signing-key.asc"))
  for (const [wrong, problem] of [
    [docs, /the policy has another key/],
    [Buffer.from("no key"), /not one secret key/],
  ] as const)
    await breaks("mail: its keys are here", problem, {
      damage: () => {
        writeFileSync(key, wrong)
      },
      mend: () => {
        writeFileSync(key, kept)
      },
    })
  const secret = join(home, "sources/mail/secret")
  const bytes = readFileSync(secret)
  await breaks("mail: its keys are here", /is not a source's secret/, {
    damage: () => {
      writeFileSync(secret, "short\n")
    },
    mend: () => {
      writeFileSync(secret, bytes)
    },
  })
})

test("runs that cannot be read, are too old, or arrived by another clock", async () => {
  const last = world.runs("mail").at(-1) ?? ""
  const signature = join(world.archive, names.runDirectory("mail", last), names.signature(1))
  const { atime, mtime } = statSync(signature)
  const arrive = (hours: number) => () => {
    utimesSync(signature, atime, new Date(mtime.getTime() + hours * 3_600_000))
  }
  const folder = join(world.archive, "backup/mail")
  await breaks("mail: its runs can be read", /symbolic link/, {
    damage: () => {
      renameSync(folder, world.file("moved"))
      symlinkSync(world.file("moved"), folder)
    },
    mend: () => {
      rmSync(folder)
      renameSync(world.file("moved"), folder)
    },
  })
  arrive(-50)()
  const often = "mail: it is backed up as often as it should be"
  assert.equal((await doctor()).get(often)?.ok, true, "the policy says nothing of how often")
  world.ok("admin", "source", "set", "mail", "--schedule", "each night")
  const age = { damage: arrive(-50), mend: arrive(0) }
  await breaks(often, /the last run is 2\.1 days old, and it is meant to run: each night/, age)
  arrive(-50)()
  assert.match(world.fails("oscar", exitCode["open-risk"], "status"), /mail: the last run is 2\.1 days old/)
  arrive(0)()
  const clock = "mail: the clocks"
  await breaks(clock, /arrived in the future/, { damage: arrive(1), mend: arrive(0) })
  await breaks(clock, /ended at .* by this machine, and arrived at/, { damage: arrive(-1), mend: arrive(0) })
})

test("a source that was never backed up", async () => {
  world.machine("second", "letters", data)
  const { stdout } = await run(of(world, "second", isolated), "doctor", "--json")
  const line = stdout.split("\n").find((each) => each.includes("letters: it is backed up"))
  assert.match(line ?? "", /no run that could be restored/)
  world.ok("second", "backup")
  assert.equal((await run(of(world, "second", isolated), "doctor")).status, 0)
})

test("no check was left out here", async () => {
  const untried = [...(await doctor()).keys()].filter(
    // Of people, one of each role was tried; what a version of Node.js is worth is tried beside the check.
    (name) => !tried.has(name) && !/^the key of the |^Node\.js is /.test(name),
  )
  assert.deepEqual(untried, [])
})

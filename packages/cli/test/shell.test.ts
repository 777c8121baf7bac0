// What scripts use, with the real command and real shells: the context evaluated in every usual way, files sealed, uploaded,
// asked for by their key packets alone, released, opened; and what an earlier system left.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { exitCode, receiptCodec } from "@backup-cloud/format"
import { noise } from "../../store/test/helpers.ts"
import { of } from "./run.ts"
import { fromSources, World } from "./world.ts"

/** The blocks of docs/scripts.md: enrolment, script, request, restore. */
const page = readFileSync(join(import.meta.dirname, "../../../docs/scripts.md"), "utf8")
const blocks = [...page.matchAll(/^```sh.*\n((?:.*\n)*?)```$/gm)].map((match) => match[1] ?? "")

const bin = join(import.meta.dirname, "../bin")
const world = new World()
const work = world.file("work")
const content = noise(300_000)
const dump = join(work, "dump.sql")

before(() => {
  mkdirSync(work)
  mkdirSync(world.file("data"))
  world.start(world.file("data"))
  world.ok("admin", "source", "add", "db-daily", "upload:")
})
after(() => {
  world.end()
})

/** A script in a shell, on the machine that has the administrator's key and the sources' keys. */
function shell(program: readonly string[], script: string): { status: number | null; stdout: string; stderr: string } {
  const { env } = of(world, "admin", { ...fromSources, PATH: `${bin}:${process.env["PATH"] ?? ""}` })
  const [command = "", ...args] = program
  const { status, stdout, stderr } = spawnSync(command, [...args, "-c", script], { cwd: work, env, encoding: "utf8" })
  return { status, stdout, stderr }
}

const SHELLS = [["bash"], ["dash"], ["busybox", "ash"], ["zsh", "-f"]]
const EVALS = {
  "without quotes": "eval $(start-backup-context.js)",
  "with quotes": 'eval "$(backup-cloud.js context)"',
  "through a variable": "ctx=$(backup-cloud.js context); eval $ctx",
  "through a quoted variable": 'ctx=$(backup-cloud.js context); eval "$ctx"',
}
const SHOW =
  'printf \'%s\\n\' "$BACKUP_CONTEXT_ENCRYPT_COMMAND" "$BACKUP_CONTEXT_UPLOAD_COMMAND" "$BACKUP_CONTEXT_S3_TARGET"'

for (const program of SHELLS) {
  for (const [how, statement] of Object.entries(EVALS)) {
    test(`the context is evaluated by ${program.join(" ")} ${how}`, () => {
      const { status, stdout, stderr } = shell(
        program,
        `set -eu\n${statement}\n${SHOW}\nsh -c '${SHOW.replaceAll("'", "'\\''")}'`,
      )
      assert.equal(status, 0, stderr)
      const one = [`${bin}/backup-cloud-encrypt.js`, `${bin}/backup-cloud-upload.js`, `${world.archive}/backup`]
      assert.deepEqual(stdout.trimEnd().split("\n"), [...one, ...one])
    })
  }
}

test("a context that cannot be had does not look like one", () => {
  for (const program of SHELLS) {
    const script =
      "set -e\nBACKUP_CLOUD_ARCHIVE=/nowhere; export BACKUP_CLOUD_ARCHIVE\neval $(start-backup-context.js)\necho went on"
    const { status, stdout, stderr } = shell(program, script)
    assert.equal(status, 1)
    assert.equal(stdout, "")
    assert.match(stderr, /\/nowhere/)
  }
})

test("a script seals, uploads and copies; each file opens again through a holder, and its run restores", () => {
  writeFileSync(dump, content)
  const script = `set -e
    eval $(start-backup-context.js)
    mkdir out
    $BACKUP_CONTEXT_ENCRYPT_COMMAND dump.sql
    cp dump.sql.gpg /dev/null
    echo plain > out/notes
    cp dump.sql.gpg out
    "$BACKUP_CONTEXT_UPLOAD_COMMAND" out db/daily`
  const { status, stderr } = shell(["dash"], script)
  assert.equal(status, 0, stderr)
  assert.equal(statSync(`${dump}.gpg`).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(work).sort(), ["dump.sql", "dump.sql.gpg", "out"])
  assert.deepEqual(readdirSync(join(world.file("admin"), "backup-cloud/handed")), [])
  const target = world.file("restored")
  world.ok("oscar", "restore", "db-daily@latest", "--release", world.release("db-daily@latest", "run"), "--to", target)
  assert.deepEqual(readdirSync(target).sort(), ["dump.sql.gpg", "notes"])

  const sealed = join(target, "dump.sql.gpg")
  const [run = ""] = world.runs("db-daily")
  const receipt = join(world.archive, "backup/db-daily", run, "receipt-0001.json")
  const { handed } = receiptCodec.decode(readFileSync(receipt), "receipt")
  const sha256 = createHash("sha256").update(readFileSync(sealed)).digest("hex")
  assert.deepEqual(
    handed.map((each) => [each.file, each.sha256]),
    [["dump.sql.gpg", sha256]],
  )
  const ask = (file: string, request: string): string[] => [
    "request",
    "--object",
    file,
    "--reason",
    "x",
    "--out",
    request,
  ]
  world.ok("oscar", ...ask(sealed, world.file("object.request")))
  const shown = world.ok("alice", "keyholder", "review", world.file("object.request"))
  assert.match(shown, /one sealed file alone: dump\.sql\.gpg/)
  world.ok("alice", "keyholder", "approve", world.file("object.request"), "--out", world.file("object"), "--yes")
  const restore = ["restore", "--object", sealed, "--release"]
  // The release of the run opens the run, and not what a script sealed within it.
  world.fails("oscar", exitCode.refused, ...restore, world.file("run"), "--to", world.file("never"))
  world.ok("oscar", ...restore, world.file("object"), "--to", world.file("opened"))
  assert.ok(readFileSync(world.file("opened")).equals(content))
  assert.equal(existsSync(world.file("never")), false)

  const other = join(target, "other.gpg")
  const changed = readFileSync(sealed)
  changed.writeUInt8(changed.readUInt8(changed.length - 9) ^ 1, changed.length - 9)
  writeFileSync(other, changed)
  const said = world.fails(
    "oscar",
    exitCode.tampered,
    "restore",
    "--object",
    other,
    "--release",
    world.file("object"),
    "--to",
    world.file("never"),
  )
  assert.match(said, /is not the file that was recorded/)
  const foreign = spawnSync(
    "gpg",
    ["--homedir", world.file("oscar"), "--batch", "--trust-model", "always", "-f", world.file("alice.asc"), "-e"],
    { input: "a mail" },
  )
  writeFileSync(other, foreign.stdout)
  assert.match(
    world.fails("oscar", exitCode["not-found"], ...ask(other, world.file("no.request"))),
    /no receipt and no policy records/,
  )
  world.ok("admin", "verify")
})

test("the blocks of the page scripts.md do what it says", () => {
  const [enrol = "", script = "", request = "", restore = ""] = blocks
  assert.equal(blocks.length, 4)
  const place = world.file("page")
  mkdirSync(place)
  // The program by the name that the page has for it.
  symlinkSync(join(bin, "backup-cloud.js"), join(place, "backup-cloud"))
  const as = (who: string, block: string): void => {
    const { env } = of(world, who, { ...fromSources, PATH: `${place}:${process.env["PATH"] ?? ""}` })
    const { status, stderr } = spawnSync("sh", ["-ec", block], { cwd: place, env, encoding: "utf8" })
    assert.equal(status, 0, `${block}\n${stderr}`)
  }
  as("admin", enrol.replace("db-daily", "db-hourly"))
  as("admin", script.replace("db/daily", "db/hourly"))
  const release = world.release("db-hourly@latest", "page-run")
  world.ok("oscar", "restore", "db-hourly@latest", "--release", release, "--to", join(place, "restored"))
  copyFileSync(join(place, "restored/dump.sql.gpg"), join(place, "dump.sql.gpg"))
  as("oscar", request)
  const [asked, answered] = [join(place, "file.request"), join(place, "file.release")]
  world.ok("alice", "keyholder", "approve", asked, "--out", answered, "--yes")
  as("oscar", restore)
  assert.equal(readFileSync(join(place, "dump.sql"), "utf8"), "the dump\n")
})

test("a file is not sealed over another, nor what is not there; and nothing half sealed stays", () => {
  const { status, stderr } = shell(["dash"], "backup-cloud-encrypt.js dump.sql")
  assert.equal(status, exitCode.conflict)
  assert.match(stderr, /dump\.sql\.gpg is there already; nothing was done/)
  assert.equal(shell(["dash"], "backup-cloud-encrypt.js absent").status, exitCode["not-found"])
  const directory = shell(["dash"], "backup-cloud-encrypt.js out")
  assert.equal(directory.status, exitCode.usage)
  assert.match(directory.stderr, /out is no regular file; nothing was sealed/)
  assert.deepEqual(readdirSync(work).sort(), ["dump.sql", "dump.sql.gpg", "out"])
})

test("a script that is run has the context and gives its exit code; what it left unrecorded is said, and comes next", () => {
  const inner = '"$BACKUP_CONTEXT_ENCRYPT_COMMAND" late && exit 7'
  writeFileSync(join(work, "late"), "late\n")
  const { status, stderr } = shell(["dash"], `backup-cloud.js run -- sh -c '${inner}'`)
  assert.equal(status, 7, stderr)
  assert.match(stderr, /1 sealed files are in no receipt yet/)
  const asked = ["request", "--object", join(work, "late.gpg"), "--reason", "x", "--out", world.file("late.request")]
  world.fails("oscar", exitCode["not-found"], ...asked)
  world.ok("admin", "backup", "docs")
  world.ok("oscar", ...asked)
  assert.equal(shell(["dash"], "backup-cloud.js run -- /no/such/script").status, exitCode["not-found"])
})

test("an upload names a source that there is; one without a directory is not backed up by the way", () => {
  assert.match(shell(["dash"], "backup-cloud-upload.js out no/such").stderr, /the policy has no source no-such/)
  assert.equal(shell(["dash"], "backup-cloud-upload.js out ../up").status, exitCode.usage)
  assert.match(world.fails("admin", exitCode.usage, "backup", "db-daily"), /backup-cloud upload DIR db-daily/)
  const before = world.runs("db-daily").length
  world.ok("admin", "backup")
  assert.equal(world.runs("db-daily").length, before)
})

test("what an earlier system left is listed, recorded by the administrator, and only then released", () => {
  const old = "backup/2019/jan 1.gpg"
  mkdirSync(join(world.archive, "backup/2019"))
  const sealed = spawnSync(
    "gpg",
    ["--homedir", world.file("oscar"), "--batch", "--trust-model", "always", "-f", world.file("alice.asc"), "-e"],
    { input: "old data" },
  )
  writeFileSync(join(world.archive, old), sealed.stdout)
  assert.match(world.ok("admin", "handed", "list"), / - +backup\/2019\/jan 1\.gpg$/m)
  const ask = ["request", "--object", old, "--reason", "x", "--out", world.file("old.request")]
  world.fails("oscar", exitCode["not-found"], ...ask)
  world.fails("admin", exitCode.usage, "handed", "record", `backup/docs/${world.runs()[0] ?? ""}/key.gpg`)
  world.ok("admin", "handed", "record", old)
  assert.match(world.ok("admin", "handed", "list"), / recorded +backup\/2019\/jan 1\.gpg$/m)
  world.ok("oscar", ...ask)
  world.ok("alice", "keyholder", "approve", world.file("old.request"), "--out", world.file("old"), "--yes")
  world.ok("oscar", "restore", "--object", old, "--release", world.file("old"), "--to", world.file("old.plain"))
  assert.equal(readFileSync(world.file("old.plain"), "utf8"), "old data")
  // Backups go on under the policy that now has the record.
  world.ok("admin", "backup", "docs")
  world.ok("admin", "verify")
  const path = join(world.archive, old)
  writeFileSync(path, Buffer.concat([sealed.stdout, Buffer.alloc(1)]))
  assert.match(world.fails("admin", exitCode.tampered, "verify"), /backup\/2019\/jan 1\.gpg: has other bytes/)
  rmSync(path)
  assert.match(
    world.fails("admin", exitCode.tampered, "verify"),
    /backup\/2019\/jan 1\.gpg: is missing, and the policy/,
  )
})

// The container image without Docker: the Dockerfile's steps are done in a Debian root made by debootstrap, and what comes
// of them is run as Docker would, as process 1 of a namespace, with a root that can only be read, as the image's user.

import assert from "node:assert/strict"
import { execFileSync, spawn } from "node:child_process"
import { createCipheriv } from "node:crypto"
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { type Ended, World } from "../../cli/test/world.ts"
import { build, type Stage } from "./dockerfile.ts"

const repository = join(import.meta.dirname, "../../..")
const world = new World()
const data = world.file("data")
const MiB = 1_048_576
let image: Stage

/** A Debian root as the base image is: the smallest system, and nothing of this project's. */
function debian(folder: string): void {
  const kept = world.file("debian")
  if (!existsSync(kept)) execFileSync("debootstrap", ["--variant=minbase", "trixie", kept], { stdio: "ignore" })
  execFileSync("cp", ["-a", `${kept}/.`, folder])
  // The network is this machine's, as it would be Docker's.
  for (const file of ["resolv.conf", "hosts"]) copyFileSync(`/etc/${file}`, join(folder, "etc", file))
  for (const name of readdirSync("/etc/apt/apt.conf.d").filter((each) => /^99|proxy/.test(each)))
    copyFileSync(join("/etc/apt/apt.conf.d", name), join(folder, "etc/apt/apt.conf.d", name))
}

/** The tree as it is in git, or will be, which is what the ignore file leaves. */
function context(folder: string): void {
  mkdirSync(folder)
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
  const files = execFileSync("git", list, { cwd: repository, maxBuffer: 2 ** 26 })
    .toString()
    .split("\0")
  for (const file of files.filter((each) => each !== "" && existsSync(join(repository, each))))
    cpSync(join(repository, file), join(folder, file))
}

before(() => {
  const certificates = "/etc/ssl/certs/ca-certificates.crt"
  context(world.file("context"))
  mkdirSync(world.file("build"))
  image = build({
    dockerfile: join(repository, "deploy/container/Dockerfile"),
    ...{ context: world.file("context"), place: world.file("build") },
    base(name, folder) {
      assert.equal(name, "debian:trixie-slim")
      debian(folder)
      mkdirSync(join(folder, "run/machine"), { recursive: true })
      if (existsSync(certificates)) copyFileSync(certificates, join(folder, "run/machine/certificates"))
    },
    // What a proxy or registry of this machine asks for.
    surroundings: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(https?|no)_proxy$/i.test(name))),
      ...(existsSync(certificates) ? { npm_config_cafile: "/run/machine/certificates" } : {}),
    },
  })
  mkdirSync(data)
  writeFileSync(join(data, "letter"), "Dear all,\n")
  world.start(data)
  world.machine("machine", "mail", data)
  // What is mounted into the container belongs to its user there.
  execFileSync("chown", ["-R", image.user, world.archive, world.file("machine")])
})
after(() => {
  world.end()
})

interface Running {
  readonly ended: Promise<Ended>
  /** Sends a signal to process 1 of the container. */
  signal(name: NodeJS.Signals): void
}

/** What Docker does before process 1 starts. Arguments: root, user, folder, place of the world, command. */
const ENTER = `
root=$1 user=$2 folder=$3 place=$4; shift 4
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for each in archive machine data; do
  mkdir -p "$root$place/$each"
  mount --bind "$place/$each" "$root$place/$each"
done
mount -o remount,bind,ro "$root$place/data"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot --userspec="$user" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"
`

/**
 * Runs the image: `docker run --read-only --tmpfs /tmp`, with the data to be read, the archive and the machine's home.
 * @param command instead of the entry point
 */
function container(
  args: readonly string[],
  command: readonly string[] = image.entrypoint,
  user: string = image.user,
): Running {
  const { root, folder } = image
  const home = world.file("machine")
  const env = {
    ...Object.fromEntries(image.env),
    BACKUP_CLOUD_HOME: join(home, "backup-cloud"),
    BACKUP_CLOUD_CONFIG: join(home, "backup-cloud.yaml"),
  }
  const enter = ["sh", "-euc", ENTER, "enter", root, user, folder, world.place, ...command, ...args]
  const child = spawn("unshare", ["--mount", "--pid", "--fork", "--kill-child", ...enter], {
    ...{ env, stdio: ["ignore", "pipe", "pipe"] },
  })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (piece: Buffer) => (stdout += piece.toString()))
  child.stderr.on("data", (piece: Buffer) => (stderr += piece.toString()))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (status) => {
      resolve({ status, stdout, stderr })
    })
  })
  return {
    ended,
    signal(name) {
      const children = readFileSync(`/proc/${child.pid ?? 0}/task/${child.pid ?? 0}/children`, "utf8")
      const [first = ""] = children.trim().split(" ")
      process.kill(Number(first), name)
    },
  }
}

const inside = (...command: string[]): Promise<Ended> => container([], command).ended

async function ends(status: number, ended: Promise<Ended>): Promise<Ended> {
  const got = await ended
  assert.equal(got.status, status, got.stdout + got.stderr)
  return got
}

test("it is a user without rights, who writes below /tmp and nowhere else", async () => {
  assert.equal((await ends(0, inside("id", "-u"))).stdout.trim(), "10001")
  for (const place of ["/opt/backup-cloud/x", "/etc/x", "/var/tmp/x", "/x"]) await ends(1, inside("touch", place))
  await ends(0, inside("touch", "/tmp/x"))
  // Not even root writes there: the root can only be read.
  const { stderr } = await ends(1, container(["/opt/backup-cloud/x"], ["touch"], "0:0").ended)
  assert.match(stderr, /Read-only file system/)
})

test("what sources need is there, and what only builds need is not", async () => {
  for (const program of ["gpg", "gpgv", "zstd", "git", "ssh", "mariadb-dump", "pg_dump"]) {
    const flag = program === "ssh" ? "-V" : "--version"
    await ends(0, inside(program, flag))
  }
  assert.match((await ends(0, inside("node", "--version"))).stdout, /^v24\./)
  for (const program of ["npm", "tsc"]) await ends(127, inside(program))
  await ends(0, container(["--help"]).ended)
})

test("it backs up, and its exit code says how that went", async () => {
  await ends(0, container(["backup", "mail"]).ended)
  assert.match(world.ok("admin", "verify"), /in 1 runs: all as signed/)
  await ends(2, container(["backup", "--no-such-option"]).ended)
  await ends(10, container(["backup", "nobody"]).ended)
})

const signed = (): number =>
  world.objects().filter((name) => name.startsWith("backup/mail/") && name.endsWith(".sig")).length
const volumes = (): number => world.objects().filter((name) => /^backup\/mail\/.*volume-/.test(name)).length

test("a SIGTERM commits what there is, and the next run goes on from there", async () => {
  const noise = createCipheriv("aes-256-ctr", Buffer.alloc(32, 7), Buffer.alloc(16))
  for (let i = 0; i < 24; i++) writeFileSync(join(data, `large-${i}`), noise.update(Buffer.alloc(64 * MiB)))
  const before = { signed: signed(), volumes: volumes() }
  const running = container(["backup", "mail"])
  while (volumes() < before.volumes + 2) await sleep(50)
  running.signal("SIGTERM")
  const { stdout, stderr } = await ends(30, running.ended)
  assert.match(stdout + stderr, /checkpoint/)
  assert.equal(signed(), before.signed + 1)
  const kept = volumes()
  assert.ok(kept >= before.volumes + 2 && kept < before.volumes + 24, String(kept))
  await ends(0, container(["backup", "mail"]).ended)
  assert.ok(volumes() - kept < 24, `${volumes() - kept} volumes more, ${kept} before`)
  assert.match(world.ok("admin", "verify"), /in 3 runs: all as signed/)
})

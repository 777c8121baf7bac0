// docs/offline.md, done as written: each block by the person it is for, on a loop device in place of the disk. Only names of
// devices and places are this test's, and the yes that a person would type.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, test } from "node:test"
import { of } from "./run.ts"
import { fromSources, World } from "./world.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/offline.md"), "utf8")
const blocks = [...page.matchAll(/^```sh ?(\w*)\n(.*?)^```$/gms)].map(([, who = "", text = ""]) => ({ who, text }))
const world = new World()
let device = ""

after(() => {
  spawnSync("umount", ["--lazy", world.file("disk")])
  if (device !== "") spawnSync("losetup", ["--detach", device])
  world.end()
})

const people: Readonly<Record<string, string>> = {
  ...{ root: "oscar", operator: "oscar", administrator: "admin", holder: "alice", laptop: "laptop" },
}

test("every command of docs/offline.md does what the page says", () => {
  const [data, bin, image] = [world.file("data"), world.file("bin"), world.file("image")]
  for (const folder of [data, bin, world.file("disk"), world.file("work")]) mkdirSync(folder)
  writeFileSync(join(data, "letter"), "Dear all,\n")
  const program = join(import.meta.dirname, "../bin/backup-cloud.js")
  writeFileSync(join(bin, "backup-cloud"), `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`, { mode: 0o755 })
  world.start(data)
  world.ok("admin", "backup")
  writeFileSync(image, "")
  truncateSync(image, 64 * 1_048_576)
  const setup = ["--find", "--show", image]
  device = execFileSync("losetup", setup, { encoding: "utf8" }).trim()
  // The laptop has the operator's key and has seen nothing.
  execFileSync("cp", ["-a", world.file("oscar"), world.file("laptop")])
  for (const name of ["backup-cloud", "backup-cloud.yaml"])
    execFileSync("rm", ["-rf", join(world.file("laptop"), name)])
  world.fingerprints.set("laptop", world.fingerprints.get("oscar") ?? "")

  const places: readonly (readonly [string | RegExp, string])[] = [
    ["FINGERPRINT", world.fingerprints.get("admin") ?? ""],
    ["/dev/sdX1", device],
    ["/mnt/disk", world.file("disk")],
    [/^backup-cloud (?:trust|keyholder approve|media forget) .*$/gm, "$& --yes"],
  ]
  const run = ({ who, text }: (typeof blocks)[number]): string => {
    const script = places.reduce((line, [from, to]) => line.replaceAll(from, to), text)
    const { env } = of(world, people[who] ?? "nobody", { ...fromSources, OPERATOR: "root" })
    // The laptop has no network at all.
    const shell = who === "laptop" ? ["unshare", "--net", "/bin/sh"] : ["/bin/sh"]
    const done = spawnSync(shell[0] ?? "", [...shell.slice(1), "-euc", script], {
      ...{ cwd: world.file("work"), encoding: "utf8" },
      env: { ...env, PATH: `${bin}:${env["PATH"] ?? ""}` },
    })
    assert.equal(done.status, 0, `${who} (it needs root, e2fsprogs and par2): ${script}\n${done.stdout}${done.stderr}`)
    return done.stdout
  }
  const order = blocks.map(({ who }) => who).join(" ")
  const month = "operator root operator root operator"
  assert.equal(order, `root operator administrator root ${month} root laptop holder laptop operator root`)
  const said = blocks.slice(0, 9).map(run)
  assert.match(said[4] ?? "", /Every disk is up to date/)
  assert.match(said[6] ?? "", /all as signed/)
  assert.match(said[8] ?? "", /1 runs in the archive, 0 of them on no disk/)
  execFileSync("umount", [world.file("disk")])

  renameSync(world.archive, world.file("gone"))
  blocks.slice(9, 13).map(run)
  const args = ["-aHn", "--checksum", "--itemize-changes", "--delete", `${data}/`, `${world.file("work")}/restored/`]
  assert.equal(spawnSync("rsync", args, { encoding: "utf8" }).stdout, "")
  renameSync(world.file("gone"), world.archive)
  assert.match(blocks.slice(13).map(run)[0] ?? "", /"Disk A" \(bank vault\) is forgotten/)
  const rest = readFileSync(image)
  assert.equal(
    rest.findIndex((byte) => byte !== 0),
    -1,
    "nothing is left on the disk",
  )
})

// The contract again with GnuPG 2.4, which runs in a Debian 13 root beside the machine's own: each opens what the other
// sealed. The programs are entered through scripts, so the doors see nothing of it.

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { access, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, suite, test } from "node:test"
import { promisify } from "node:util"
import { contract } from "./contract.ts"
import { type Doors, gpgDoors, jsDoors } from "./doors.ts"

const ROOT = "/var/tmp/backup-cloud-trixie"
const run = promisify(execFile)

suite("GnuPG 2.4", () => {
  let scripts = ""
  before(async () => {
    await access(join(ROOT, "usr/bin/gpg")).catch((cause: unknown) => {
      const make = `debootstrap --variant=minbase --include=gnupg,zstd trixie ${ROOT}`
      throw new Error(`there is no Debian 13 root; as root: apt-get install debootstrap && ${make}`, { cause })
    })
    scripts = await mkdtemp(join(tmpdir(), "bc-test-"))
    for (const program of ["gpg", "gpgconf"]) {
      // Paths of homes are shortened to how they look inside.
      const script = `#!/bin/sh
for each do
  shift
  case $each in ${ROOT}/*) each=\${each#${ROOT}} ;; --homedir=${ROOT}/*) each=--homedir=\${each#--homedir=${ROOT}} ;; esac
  set -- "$@" "$each"
done
exec chroot ${ROOT} /usr/bin/${program} "$@"
`
      await writeFile(join(scripts, program), script, { mode: 0o755 })
    }
  })
  after(() => rm(scripts, { recursive: true, force: true }))

  const doors = (): Promise<Doors> => gpgDoors({ program: join(scripts, "gpg"), parent: join(ROOT, "tmp") })

  test("is 2.4", async () => {
    const { stdout } = await run(join(scripts, "gpg"), ["--version"])
    assert.match(stdout, /^gpg \(GnuPG\) 2\.4\./)
  })
  contract("made by gpg 2.4, read by gpg 2.4", doors, doors)
  contract("made by gpg 2.4, read by the machine's gpg", doors, () => gpgDoors())
  contract("made by gpg 2.4, read by OpenPGP.js", doors, jsDoors)
  contract("made by the machine's gpg, read by gpg 2.4", () => gpgDoors(), doors)
  contract("made by OpenPGP.js, read by gpg 2.4", jsDoors, doors)
})

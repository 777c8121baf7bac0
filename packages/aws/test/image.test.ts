// The weekly build of the image, under a real shell with stand-ins for git, aws and docker: in which order, with what, and
// that an image which does not build or start is put nowhere. And that nothing secret is among its variables.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { resolve, template } from "./resolve.ts"

const given = { Repository: "https://git.example/backup-cloud.git", Tools: "git mariadb-client" }
const { Build } = resolve(template("image"), given, { Images: "images" })

interface Project {
  readonly Source: { readonly BuildSpec: string }
  readonly Environment: { readonly EnvironmentVariables: readonly { readonly Name: string; readonly Value: string }[] }
}
const project = Build?.Properties as unknown as Project
const variables = Object.fromEntries(project.Environment.EnvironmentVariables.map(({ Name, Value }) => [Name, Value]))

let place = ""
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "image-"))
  mkdirSync(join(place, "bin"))
})
afterEach(() => {
  rmSync(place, { recursive: true })
})

/** Runs the build; a call that `fails` matches ends badly. @returns the calls, a line each */
function run(fails: RegExp | null): { readonly status: number | null; readonly calls: string[] } {
  const log = join(place, "calls")
  for (const name of ["git", "aws", "docker"]) {
    const script = `#!/bin/sh
line="${name} $*"
echo "$line" >> ${log}
[ "$1" != login ] || { cat > ${join(place, "password")}; }
[ "$1" != ecr ] || echo secret
! echo "$line" | grep -qE "\${FAILS:-^$}"
`
    writeFileSync(join(place, "bin", name), script, { mode: 0o755 })
  }
  const { phases } = JSON.parse(project.Source.BuildSpec) as { phases: { build: { commands: [string] } } }
  const { status } = spawnSync("bash", ["-c", phases.build.commands[0]], {
    cwd: place,
    env: { ...variables, PATH: `${place}/bin:${process.env["PATH"] ?? ""}`, FAILS: fails?.source ?? "" },
  })
  return { status, calls: existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : [] }
}

test("it is fetched, built from newest packages, started once, and then pushed under its time and as the current one", () => {
  const { status, calls } = run(null)
  assert.equal(status, 0)
  const image = variables["IMAGE"] ?? assert.fail()
  const shown = calls.map((call) => call.replaceAll(image, "IMAGE").replace(/[0-9]{8}-[0-9]{6}/g, "TIME"))
  assert.deepEqual(shown.toSorted(), [
    "aws ecr get-login-password",
    "docker build --pull --no-cache --build-arg BASE=debian:trixie-slim --build-arg TOOLS=git mariadb-client --file source/deploy/container/Dockerfile --tag IMAGE:TIME source",
    `docker login --username AWS --password-stdin ${variables["REGISTRY"]}`,
    "docker push IMAGE:TIME",
    "docker push IMAGE:current",
    "docker run --rm --read-only --tmpfs /tmp --network none IMAGE:TIME --version",
    "docker tag IMAGE:TIME IMAGE:current",
    "git clone --quiet --depth 1 --branch main https://git.example/backup-cloud.git source",
  ])
  assert.deepEqual(shown.slice(-4), [
    "docker run --rm --read-only --tmpfs /tmp --network none IMAGE:TIME --version",
    "docker tag IMAGE:TIME IMAGE:current",
    "docker push IMAGE:TIME",
    "docker push IMAGE:current",
  ])
  assert.equal(readFileSync(join(place, "password"), "utf8"), "secret\n")
})

test("what cannot be fetched, built or started is pushed nowhere, and the build fails", () => {
  for (const fails of [/^git clone/, /^aws ecr/, /^docker login/, /^docker build/, /^docker run/]) {
    const { status, calls } = run(fails)
    assert.notEqual(status, 0, fails.source)
    assert.deepEqual(
      calls.filter((call) => call.startsWith("docker push")),
      [],
    )
    rmSync(join(place, "calls"))
  }
})

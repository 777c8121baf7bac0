// recover.sh on every vector, in every environment: the exit status, and the restored tree entry by entry.

import assert from "node:assert/strict"
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, describe, test } from "node:test"
import { loadManifest, loadVectors, unpackVector, type Vector, vectorFile } from "../../vectors/load.ts"
import { type Environment, environments, finished, gpgVersions, type Outcome, recoverScript } from "./environments.ts"
import { comparable, expectedTree, readTree, timeless } from "./tree.ts"

const vectors = loadVectors()
const { list, close } = environments()
after(close)

function vector(name: string): Vector {
  const found = vectors.find((each) => each.name === name)
  assert.ok(found, `no vector ${name}`)
  return found
}

interface Place {
  readonly environment: Environment
  readonly directory: string
  readonly archive: string
  readonly target: string
}

/** Unpacks `of` where `environment` can see it, with the present recover.sh in it. */
function place(environment: Environment, of: Vector): Place {
  const directory = mkdtempSync(join(environment.base, "v-"))
  const archive = join(directory, "an archive = 'here'")
  unpackVector(of, archive)
  writeFileSync(join(archive, "recover.sh"), recoverScript)
  return { environment, directory, archive, target: join(directory, "target") }
}

/** A keyring with the secret keys of `names`. */
async function keyring(at: Place, ...names: string[]): Promise<string> {
  const home = mkdtempSync(join(at.environment.base, "k"))
  for (const name of names) {
    const done = await finished(
      ["gpg", "--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--import"],
      { PATH: process.env["PATH"] ?? "" },
      readFileSync(vectorFile(`keys/${name}.secret.asc`)),
    )
    assert.equal(done.code, 0, done.err)
  }
  await finished(["gpgconf", "--homedir", home, "--kill", "all"], { PATH: process.env["PATH"] ?? "" })
  return home
}

const releaseFile = (at: Place, name: string): string => {
  const file = join(at.directory, "release.json")
  writeFileSync(file, readFileSync(vectorFile(name)))
  return file
}

async function recover(at: Place, of: Vector, options: readonly string[], home?: string): Promise<Outcome> {
  return await at.environment.recover({
    archive: at.archive,
    arguments: ["--admin", of.admin, ...options, of.source, of.run, at.target],
    ...(home === undefined ? {} : { keyring: home }),
  })
}

function assertTree(at: Place, of: Vector, options: { setId?: boolean; devices?: boolean } = {}, lost = of.lost): void {
  const expected = {
    nanoseconds: at.environment.nanoseconds,
    setId: options.setId ?? false,
    devices: options.devices ?? false,
  }
  const manifest = loadManifest(of)
  const found = readTree(at.target, expected, timeless(manifest, expected))
  assert.deepEqual(comparable(found), comparable(expectedTree(manifest, lost, expected)))
}

function assertNothing(at: Place): void {
  let found: string[] = []
  try {
    found = readdirSync(at.target)
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOENT")
  }
  assert.deepEqual(found, [])
}

test("Debian 13 has another gpg than a machine of Debian 12", () => {
  assert.match(gpgVersions().debian13, / 2\.4\./)
  assert.match(gpgVersions().host, / 2\.[24]\./)
})

for (const environment of list) {
  describe(environment.label, { concurrency: 2 }, () => {
    for (const each of vectors) {
      test(`${each.name}: ${each.reason}`, async () => {
        const at = place(environment, each)
        const home = each.opens === "keyring" ? await keyring(at, "anna") : undefined
        const options = each.opens === "keyring" ? [] : ["--passphrases", releaseFile(at, each.release)]
        const done = await recover(at, each, options, home)
        assert.equal(done.code, each.recover, done.err)
        if (each.manifest === "") assertNothing(at)
        else assertTree(at, each)
        for (const path of each.lost) assert.match(done.err, new RegExp(`^  ${path}$`, "m"))
      })
    }

    test("set-id bits and devices come back on request", async () => {
      const of = vector("good-complete")
      const at = place(environment, of)
      const done = await recover(at, of, ["--set-id", "--devices", "--passphrases", releaseFile(at, of.release)])
      assert.equal(done.code, 0, done.err)
      assertTree(at, of, { setId: true, devices: true })
    })

    test("a holder's own key opens the run and what it uses; without it nothing comes back", async () => {
      const of = vector("good-partial")
      const at = place(environment, of)
      const without = await recover(at, of, [])
      assert.equal(without.code, 12, without.err)
      assertNothing(at)
      const done = await recover(at, of, [], await keyring(at, "anna"))
      assert.equal(done.code, 0, done.err)
      assertTree(at, of)
    })
  })
}

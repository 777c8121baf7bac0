// The page from an empty account to a first restore: every block is run in a shell by whom it is for, as it stands there
// but for the names and places of this test, the yes that a person would type, and moto in the place of AWS.

import assert from "node:assert/strict"
import { execFileSync, spawn } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { of } from "../../cli/test/run.ts"
import { fromSources, World } from "../../cli/test/world.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { completeBucket, type Keys, takeRole } from "./deploy.ts"

const root = join(import.meta.dirname, "../../..")
const page = readFileSync(join(root, "docs/aws.md"), "utf8")
const blocks = [...page.matchAll(/^```sh ?(\w*)\n(.*?)^```$/gms)].map(([, who = "", text = ""]) => ({ who, text }))

const world = new World()
const bin = world.file("bin")
/** What an account's own administrator has; moto takes anything. */
const own = { AWS_ACCESS_KEY_ID: anybody.accessKeyId, AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey }
const people: Readonly<Record<string, string>> = {
  account: "account",
  administrator: "admin",
  machine: "machine",
  operator: "oscar",
  holder: "alice",
  replica: "account",
  deployer: "deployer",
  process: "process",
}
/** What a person exported in a block, which is there in the next one. */
const exported = new Map<string, Readonly<Record<string, string>>>()
let moto: Moto
let instance = ""

before(async () => {
  moto = await startMoto()
  for (const name of ["admin", "alice", "bob", "oscar"]) world.person(name)
  for (const name of ["bin", "account", "machine", "docs"]) mkdirSync(world.file(name), { mode: 0o700 })
  writeFileSync(join(world.file("docs"), "letter"), "Dear all,\n")
  const program = join(root, "packages/cli/bin/backup-cloud.js")
  const settings = Object.entries(fromSources).map(([name, value]) => `${name}=${value}`)
  writeFileSync(
    join(bin, "backup-cloud"),
    `#!/bin/sh\n${settings.join(" ")} exec ${process.execPath} ${program} "$@"\n`,
    { mode: 0o755 },
  )
  const args = ["ec2", "run-instances", "--image-id", "ami-12c6146b", "--query", "Instances[0].InstanceId"]
  const env = { ...process.env, ...surroundings("account") }
  execFileSync("aws", ["s3", "mb", "s3://code"], { env, stdio: "ignore" })
  instance = execFileSync("aws", [...args, "--output", "text"], { env, encoding: "utf8" }).trim()
})
after(async () => {
  world.end()
  await moto.close()
})

function surroundings(who: string): Record<string, string> {
  const { env } = of(world, who)
  const region = { AWS_REGION: "us-east-1", AWS_DEFAULT_REGION: "us-east-1", AWS_ENDPOINT_URL: moto.endpoint }
  const keys = who === "machine" || who === "alice" ? {} : own
  const more = { ...region, ...keys, ...exported.get(who), AWS_EC2_METADATA_DISABLED: "true", PYTHONWARNINGS: "ignore" }
  return { ...env, ...more, PATH: `${bin}:${process.env["PATH"] ?? ""}` }
}

/** Runs a block as somebody. @returns what it said; keeps the credentials that it exported */
async function runBlock(who: string, script: string): Promise<string> {
  const keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map((name) => `"\${${name}-}"`)
  const marked = `${script}\nprintf '\\n--keys %s %s %s\\n' ${keys.join(" ")}\n`
  const cwd = who === "account" ? root : world.place
  // Not waited for in the way of `execFileSync`: moto would wait in turn for somebody to read what it logs.
  const child = spawn("/bin/sh", ["-euc", marked], { cwd, env: surroundings(who), stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (said += piece.toString()))
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  assert.equal(status, 0, `${who}: ${script}\n${said}`)
  const [, id = "", secret = "", token = ""] = /^--keys (\S*) (\S*) (\S*)$/m.exec(said) ?? []
  if (token !== "") exported.set(who, environment({ accessKeyId: id, secretAccessKey: secret, sessionToken: token }))
  return said
}

function environment({ accessKeyId, secretAccessKey, sessionToken }: Keys): Readonly<Record<string, string>> {
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken }
}

test("from an empty account to a first restore, as written", async () => {
  const admin = world.fingerprints.get("admin") ?? ""
  const outputs = new Map<string, string>()
  const output = (key: string): string => outputs.get(key) ?? key
  assert.deepEqual(
    blocks.map(({ who }) => who),
    [
      "account",
      "administrator",
      "account",
      "account",
      "machine",
      "administrator",
      "machine",
      "operator",
      "holder",
      "operator",
      "deployer",
      "administrator",
      "process",
      "replica",
      ...["account", "account", "administrator", "account", "account"],
      ...["account", "account", "account"],
      "account",
    ],
  )
  for (const { who, text } of blocks) {
    const places: readonly (readonly [string | RegExp, string])[] = [
      ["FINGERPRINT", admin],
      ["KEYID", admin.slice(-16)],
      ["ADMINISTRATOR_ROLE", output("AdministratorRoleArn")],
      ["OPERATOR_ROLE", output("OperatorRoleArn")],
      ["SOURCE_PROFILE", output("SourceProfileArn")],
      ["ARCHIVE_BUCKET", output("BucketName")],
      ["TOPIC", output("TopicArn")],
      ["DEVICE", "arn:aws:iam::123456789012:mfa/somebody"],
      ["--token-code CODE", "--token-code 123456"],
      ["INSTANCE", instance],
      ["CODE_BUCKET", "code"],
      ["ROLE_NAME", output("SourceRoleName")],
      ["PROFILE_NAME", output("SourceProfileName")],
      ["MACHINE_ARN", output("MachineArn")],
      ["TEMPLATE_ID", output("ServerTemplateId")],
      ["VPC_ID", "vpc-1"],
      ["SUBNET_ID", "subnet-1"],
      ["s3://PAGES", "s3://pages"],
      [/(?<= )(release\.tar\.gz|pages\.asc)/g, world.file("$1")],
      ["/srv/docs", world.file("docs")],
      ["/srv/restored", world.file("restored")],
      [/^backup-cloud (?:trust|keyholder approve) .*$/gm, "$& --yes"],
    ]
    const said = await runBlock(
      people[who] ?? "",
      places.reduce((line, [from, to]) => line.replaceAll(from, to), text),
    )
    const found = [...said.matchAll(/"OutputKey": "(\w+)",\s*"OutputValue": "([^"]+)"/g)]
    for (const [, key = "", value = ""] of found) outputs.set(key, value)
    if (said.includes('"BucketName"')) await completeBucket(moto, output("BucketName"), { LockDays: "277" })
    if (said.includes('"SourceRoleArn"')) {
      exported.set("machine", environment(await takeRole(moto, output("SourceRoleArn"))))
    }
  }
  execFileSync("diff", ["-r", world.file("docs"), world.file("restored")])
})

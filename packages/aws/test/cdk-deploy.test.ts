// The stacks as who uses the CDK deploys them: by its own command, from what it synthesised, onto moto.

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { promisify } from "node:util"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { templates } from "../src/index.ts"
import { prepare } from "./deployed-schedule.ts"

const place = mkdtempSync(join(tmpdir(), "bc-cdk-"))
let moto: Moto

before(async () => {
  moto = await startMoto()
  templates(join(place, "assembly"))
})
after(async () => {
  await moto.close()
  rmSync(place, { recursive: true })
})

/** Deploys a stack; what the command said. */
async function cdk(stack: string, ...parameters: string[]): Promise<string> {
  const words = ["deploy", stack, "--app", join(place, "assembly"), "--output", join(place, "out"), "--exclusively"]
  const how = ["--method", "direct", "--require-approval", "never", "--ci", "--no-color", "--no-notices"]
  const given = parameters.flatMap((each) => ["--parameters", `${stack}:${each}`])
  const { stdout, stderr } = await promisify(execFile)("cdk", [...words, ...how, ...given], {
    cwd: place,
    env: {
      ...{ PATH: process.env["PATH"], HOME: place, CDK_DISABLE_CLI_TELEMETRY: "true", CI: "true" },
      ...{ AWS_ENDPOINT_URL: moto.endpoint, AWS_REGION: "us-east-1", AWS_EC2_METADATA_DISABLED: "true" },
      ...{ AWS_ACCESS_KEY_ID: anybody.accessKeyId, AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey },
    },
  })
  return stdout + stderr
}

const output = (said: string, name: string): string => new RegExp(`\\.${name} = (\\S+)`).exec(said)?.[1] ?? said

test("an archive, a source and a schedule of it", async () => {
  const archive = await cdk("archive")
  assert.match(output(archive, "BucketName"), /^archive-/)
  const source = await cdk("source", "Source=docs", "RunsOn=function")
  const role = output(source, "SourceRoleName")
  await prepare(moto, Buffer.from("a zip, which this moto does not open"))
  const schedule = await cdk(
    "schedule-function",
    "Source=docs",
    `SourceRole=${role}`,
    "CodeBucket=code",
    "CodeKey=handlers.zip",
  )
  assert.match(output(schedule, "MachineArn"), /^arn:aws:states:us-east-1:/)
})

// The templates that people deploy are what the code makes; they pass cfn-lint and the AWS Solutions rules of cdk-nag,
// whose exceptions each have a reason beside the resource; and each of these checks can fail.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { App, type Stack } from "aws-cdk-lib"
import { CfnPolicy } from "aws-cdk-lib/aws-iam"
import { CfnBucket } from "aws-cdk-lib/aws-s3"
import { AwsSolutionsChecks } from "cdk-nag"
import {
  AlarmStack,
  ArchiveStack,
  ImageStack,
  MapStack,
  ReplicaStack,
  ScheduleStack,
  SourceAlarmStack,
  SourceStack,
  templates,
} from "../src/index.ts"
import { resolve } from "./resolve.ts"

const folder = join(import.meta.dirname, "../../../deploy/cloudformation")
const scratch = mkdtempSync(join(tmpdir(), "templates-"))
let made: ReadonlyMap<string, string>

before(() => {
  made = templates(join(scratch, "out"))
})
after(() => {
  rmSync(scratch, { recursive: true })
})

test("the committed templates are those that the code makes, byte by byte", () => {
  const committed = new Map(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), "utf8")]))
  assert.deepEqual([...committed.keys()].sort(), [...made.keys()].sort())
  for (const [file, text] of made) {
    assert.equal(committed.get(file), text, `${file}: npm run templates writes it anew`)
    // What the API takes of a template that does not lie in a bucket.
    assert.ok(Buffer.byteLength(text) <= 51_200, file)
  }
})

test("what the CDK is given becomes the defaults of the template's parameters, and nothing else", () => {
  const app = new App({ analyticsReporting: false, outdir: join(scratch, "given") })
  new ArchiveStack(app, "archive", { path: "a/b", lockDays: 30, operatorArn: "arn:aws:iam::111122223333:user/oscar" })
  const given = app.synth().getStackByName("archive").template as Template
  const plain = JSON.parse(made.get("archive.json") ?? "") as Template
  assert.equal(given.Parameters["Path"]?.Default, "a/b")
  assert.equal(given.Parameters["LockDays"]?.Default, 30)
  assert.equal(given.Parameters["OperatorArn"]?.Default, "arn:aws:iam::111122223333:user/oscar")
  assert.deepEqual(given.Resources, plain.Resources)
})

interface Template {
  readonly Parameters: Readonly<Record<string, { readonly Default?: unknown }>>
  readonly Resources: Readonly<Record<string, unknown>>
}

test("the bucket keeps versions, locks what it gets, is closed, and outlives its stack", () => {
  const archive = resolve(made.get("archive.json") ?? "", { LockDays: "30", StateDays: "9", Path: "some/place" })
  const { Properties } = archive["Archive"] ?? assert.fail()
  assert.deepEqual(Properties["VersioningConfiguration"], { Status: "Enabled" })
  assert.equal(Properties["ObjectLockEnabled"], true)
  const DefaultRetention = { Mode: "COMPLIANCE", Days: "30" }
  assert.deepEqual(Properties["ObjectLockConfiguration"], { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention } })
  assert.deepEqual([...new Set(Object.values(Properties["PublicAccessBlockConfiguration"] as object))], [true])
  assert.deepEqual(Properties["LoggingConfiguration"], { DestinationBucketName: "Logs", LogFilePrefix: "access/" })
  assert.equal(Properties["ReplicationConfiguration"], undefined)
  const { Rules } = Properties["LifecycleConfiguration"] as { Rules: Record<string, unknown>[] }
  // What a lifecycle rule deletes is the state alone: all else goes by signed expiry.
  assert.deepEqual(
    Rules.map((rule) => [rule["Id"], rule["Prefix"], rule["ExpirationInDays"]]),
    [
      ["broken-off-uploads", undefined, undefined],
      ["states", "some/place/state/", "9"],
      ["marks-of-states", "some/place/state/", undefined],
    ],
  )
  for (const file of ["archive.json", "replica.json"]) {
    const { Resources } = JSON.parse(made.get(file) ?? "") as {
      Resources: Readonly<Record<string, { Type: string; DeletionPolicy?: string; UpdateReplacePolicy?: string }>>
    }
    const kept = Object.values(Resources).filter(({ Type }) => Type.startsWith("AWS::S3::"))
    assert.ok(kept.length >= 2)
    for (const { DeletionPolicy, UpdateReplacePolicy } of kept)
      assert.deepEqual([DeletionPolicy, UpdateReplacePolicy], ["Retain", "Retain"])
  }
})

test("a replica's parameter makes the archive replicate, deletions left out; not with a KMS key", () => {
  const ReplicaBucketArn = "arn:aws:s3:::replica"
  const archive = resolve(made.get("archive.json") ?? "", { ReplicaBucketArn })
  const { Role, Rules } = archive["Archive"]?.Properties["ReplicationConfiguration"] as {
    Role: string
    Rules: readonly [Record<string, unknown>]
  }
  assert.match(Role, /role\/backup-cloud\/ReplicationRole$/)
  assert.deepEqual(Rules[0]["Destination"], { Bucket: ReplicaBucketArn })
  assert.deepEqual(Rules[0]["DeleteMarkerReplication"], { Status: "Disabled" })
  const { Rules: asserted } = JSON.parse(made.get("archive.json") ?? "") as { Rules: Record<string, unknown> }
  assert.match(JSON.stringify(asserted), /KmsKeyArn/)
})

function lint(...files: string[]): { readonly status: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync("cfn-lint", ["--include-checks", "I", "--", ...files], {
    encoding: "utf8",
  })
  return { status, said: stdout + stderr }
}

test("cfn-lint finds nothing in the templates, and something where there is something", () => {
  const files = [...made.keys()].map((file) => join(folder, file))
  const { status, said } = lint(...files)
  assert.equal(status, 0, said)
  const broken = join(scratch, "broken.json")
  writeFileSync(broken, (made.get("archive.json") ?? "").replace('"AES256"', '"AES512"'))
  assert.notEqual(lint(broken).status, 0)
})

/** What the rules find in a stack, `construct: rule`. */
function findings(make: (app: App) => Stack): string[] {
  const place = join(scratch, `nag-${String(Math.random())}`)
  mkdirSync(place)
  const app = new App({ analyticsReporting: false, outdir: place })
  const stack = make(app)
  return new AwsSolutionsChecks(app).validateScope(stack).violations.flatMap(({ ruleName, violatingResources }) =>
    violatingResources.map(({ constructPath, resourceLogicalId }) => {
      const where = constructPath ?? resourceLogicalId ?? ""
      return `${where}: ${ruleName}`
    }),
  )
}

test("the AWS Solutions rules find nothing", () => {
  assert.deepEqual(
    findings((app) => new ArchiveStack(app, "archive")),
    [],
  )
  assert.deepEqual(
    findings((app) => new SourceStack(app, "source")),
    [],
  )
  assert.deepEqual(
    findings((app) => new ReplicaStack(app, "replica")),
    [],
  )
  for (const on of ["function", "task", "server"] as const)
    assert.deepEqual(
      findings((app) => new ScheduleStack(app, "schedule", { on })),
      [],
    )
  assert.deepEqual(
    findings((app) => new MapStack(app, "map")),
    [],
  )
  assert.deepEqual(
    findings((app) => new ImageStack(app, "image")),
    [],
  )
  assert.deepEqual(
    findings((app) => new AlarmStack(app, "alarms")),
    [],
  )
  assert.deepEqual(
    findings((app) => new SourceAlarmStack(app, "source-alarms")),
    [],
  )
})

test("the AWS Solutions rules find a bucket that is open, and a right that no reason is given for", () => {
  const found = findings((app) => {
    const stack = new ArchiveStack(app, "archive")
    new CfnBucket(stack, "Open")
    const Statement = [{ Effect: "Allow", Action: ["s3:*"], Resource: ["*"] }]
    new CfnPolicy(stack, "All", { policyName: "all", policyDocument: { Version: "2012-10-17", Statement } })
    return stack
  })
  assert.ok(
    found.some((each) => /^archive\/Open: .*S1/.test(each)),
    found.join("\n"),
  )
  assert.ok(
    found.some((each) => /^archive\/All: .*IAM5/.test(each)),
    found.join("\n"),
  )
})

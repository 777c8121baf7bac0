// coverage against moto: real requests of the real command to every service that it lists.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { CloudFormationClient, CreateStackCommand } from "@aws-sdk/client-cloudformation"
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { CreateVolumeCommand, EC2Client } from "@aws-sdk/client-ec2"
import { CreateFileSystemCommand, EFSClient } from "@aws-sdk/client-efs"
import { CreateDBClusterCommand, CreateDBInstanceCommand, RDSClient } from "@aws-sdk/client-rds"
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3"
import { CreateSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager"
import { PutParameterCommand, SSMClient } from "@aws-sdk/client-ssm"
import { run, type Surroundings } from "../../cli/test/run.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"

const place = mkdtempSync(join(tmpdir(), "bcv-"))
let moto: Moto
let where: Surroundings
let postgres = ""
let cluster = ""

before(async () => {
  moto = await startMoto()
  const access = { endpoint: moto.endpoint, region: "us-east-1", credentials: anybody }
  const s3 = new S3Client({ ...access, forcePathStyle: true })
  for (const Bucket of ["uploads", "logs", "vault"]) await s3.send(new CreateBucketCommand({ Bucket }))
  const rds = new RDSClient(access)
  const user = { MasterUsername: "root", MasterUserPassword: "long enough" }
  const made = await rds.send(
    new CreateDBInstanceCommand({
      ...{ DBInstanceIdentifier: "shop", DBInstanceClass: "db.t3.micro", Engine: "postgres", AllocatedStorage: 20 },
      ...user,
    }),
  )
  postgres = made.DBInstance?.Endpoint?.Address ?? ""
  const aurora = { DBClusterIdentifier: "wiki", Engine: "aurora-mysql" }
  cluster = (await rds.send(new CreateDBClusterCommand({ ...aurora, ...user }))).DBCluster?.Endpoint ?? ""
  await rds.send(
    new CreateDBInstanceCommand({ ...aurora, DBInstanceIdentifier: "wiki-1", DBInstanceClass: "db.t3.medium" }),
  )
  await new DynamoDBClient(access).send(
    new CreateTableCommand({
      TableName: "orders",
      KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
      BillingMode: "PAY_PER_REQUEST",
    }),
  )
  await new EC2Client(access).send(new CreateVolumeCommand({ AvailabilityZone: "us-east-1a", Size: 8 }))
  await new EFSClient(access).send(new CreateFileSystemCommand({ CreationToken: "x" }))
  await new SecretsManagerClient(access).send(new CreateSecretCommand({ Name: "token", SecretString: "s3cr3t" }))
  const ssm = new SSMClient(access)
  for (const Name of ["/shop/key", "/shop/name", "/wiki/key"])
    await ssm.send(new PutParameterCommand({ Name, Value: "v", Type: "String" }))
  const template = {
    Resources: {
      Queue: { Type: "AWS::SQS::Queue" },
      Files: { Type: "AWS::S3::Bucket", Properties: { BucketName: "of-the-stack" } },
      Key: { Type: "AWS::SSM::Parameter", Properties: { Name: "/stack/key", Type: "String", Value: "v" } },
    },
  }
  const TemplateBody = JSON.stringify(template)
  await new CloudFormationClient(access).send(new CreateStackCommand({ StackName: "app", TemplateBody }))

  const home = join(place, "home")
  mkdirSync(home)
  const env = {
    ...{ PATH: process.env["PATH"] ?? "", HOME: home, AWS_ENDPOINT_URL: moto.endpoint, AWS_REGION: "us-east-1" },
    ...{ AWS_ACCESS_KEY_ID: anybody.accessKeyId, AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey },
  }
  where = { cwd: place, env }
})
after(async () => {
  await moto.close()
  rmSync(place, { recursive: true })
})

/** State by kind and name. */
function states(stdout: string): Map<string, string> {
  const rows = stdout.split("\n").map((line) => JSON.parse(line || "{}") as Record<string, string>)
  const resources = rows.filter(({ event }) => event === "resource")
  return new Map(resources.map(({ kind, name, state }) => [`${kind} ${name}`, state ?? ""]))
}

test("everything that there is is listed, and nothing is covered by nobody", async () => {
  writeFileSync(join(place, "backup-cloud.yaml"), "archive: s3://vault/archive\n")
  const { status, stdout, stderr } = await run(where, "coverage", "--json")
  assert.equal(status, 40, stderr)
  const found = states(stdout)
  const kinds = new Set([...found.keys()].map((key) => key.split(" ")[0]))
  assert.deepEqual(
    kinds,
    new Set([
      "s3-bucket",
      "ssm-parameters",
      "rds-instance",
      "rds-cluster",
      "dynamodb-table",
      "ebs-volume",
      "efs-file-system",
      "secret",
    ]),
  )
  assert.equal(found.get("s3-bucket vault"), "left-out", "the archive is no source")
  assert.equal(found.get("rds-instance wiki-1"), undefined, "instances of a cluster are the cluster's")
  assert.deepEqual(
    new Set([...found].filter(([key]) => key !== "s3-bucket vault").map(([, state]) => state)),
    new Set(["not-covered"]),
  )
})

test("what sources of this machine and of others back up is covered, and what a person says", async () => {
  const config = `archive: s3://vault/archive
sources:
  files: { url: "s3://uploads" }
  some: { url: "s3://logs/2026" }
  parameters: { url: "ssm:/shop" }
  shop: { url: "postgres://saver@${postgres}/" }
  tables: { url: "command:", streams: { t: "true" }, covers: ["arn:aws:dynamodb:*:table/orders"] }
left_out:
  "arn:aws:ec2:*:volume/*": roots of machines, made anew
  "arn:aws:secretsmanager:*": kept in a safe
`
  writeFileSync(join(place, "backup-cloud.yaml"), config)
  writeFileSync(join(place, "other.yaml"), `sources: { wiki: { url: "mysql://saver@${cluster}/" } }\n`)
  const { status, stdout } = await run(where, "coverage", "--also", "other.yaml")
  assert.equal(status, 40)
  const lines = stdout.split("\n").map((line) => line.replace(/\s+/g, " "))
  const has = (line: string): void => {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`)
  }
  has("covered s3-bucket uploads (files)")
  has("IN PART s3-bucket logs (some)")
  has("covered ssm-parameters /shop (parameters)")
  has("NOT COVERED ssm-parameters /wiki")
  has("covered rds-instance shop (shop)")
  has("covered rds-cluster wiki (wiki)")
  has("covered dynamodb-table orders (tables)")
  has("left out secret token (kept in a safe)")
  has("left out s3-bucket vault (the archive itself)")
})

test("the configuration that docs/coverage.md shows says what the page says of it", async () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/coverage.md"), "utf8")
  const [, block = ""] = /^```yaml\n((?:.*\n)*?)```$/m.exec(page) ?? []
  writeFileSync(join(place, "backup-cloud.yaml"), block.replaceAll("eu-west-1", "us-east-1"))
  const found = states((await run(where, "coverage", "--json")).stdout)
  assert.equal(found.get("dynamodb-table orders"), "covered")
  const volumes = [...found].filter(([key]) => key.startsWith("ebs-volume "))
  assert.deepEqual(new Set(volumes.map(([, state]) => state)), new Set(["left-out"]))
})

test("a stack: its ARNs alone, and 0 once all of it is covered", async () => {
  writeFileSync(join(place, "backup-cloud.yaml"), "archive: s3://vault/archive\n")
  const first = await run(where, "coverage", "--stack", "app")
  assert.equal(first.status, 40)
  assert.match(first.stdout, /^NOT COVERED +arn:aws:s3:::of-the-stack$/m)
  assert.match(first.stdout, /^NOT COVERED +arn:aws:ssm:us-east-1:[0-9]*:parameter\/stack$/m)
  assert.doesNotMatch(first.stdout, /uploads|SQS/)
  const sources = 'sources: { a: { url: "s3://of-the-stack" }, b: { url: "ssm:/stack" } }\n'
  writeFileSync(join(place, "backup-cloud.yaml"), sources)
  const second = await run(where, "coverage", "--stack", "app")
  assert.equal(second.status, 0, second.stderr)
  assert.match(second.stdout, /All 2 resources are backed up/)
  assert.equal((await run(where, "coverage", "--stack", "none")).status, 10)
})

test("an account that does not answer is not one that has nothing", async () => {
  const env = { ...where.env, AWS_ENDPOINT_URL: "http://127.0.0.1:9", AWS_MAX_ATTEMPTS: "1" }
  const { status, stderr } = await run({ ...where, env }, "coverage")
  assert.equal(status, 20, stderr)
  assert.match(stderr, /the account could not be looked at/)
  assert.equal((await run(where, "coverage", "--also", "nowhere.yaml")).status, 10)
})

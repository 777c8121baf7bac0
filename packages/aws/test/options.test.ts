// What the templates' options change of who may do what: a KMS key, a second factor, who is trusted, a replica. And names
// as long as they get still fit into a policy.

import assert from "node:assert/strict"
import { test } from "node:test"
import {
  EVERYTHING,
  identityOf,
  judge,
  type Policies,
  type Policy,
  type Principal,
  policies,
  policyOn,
  roleArn,
} from "./judge.ts"
import { ACCOUNT, REGION, resolve, template } from "./resolve.ts"

const name = "backup/docs/20261123T221500Z-4f1c9a02/key.gpg"
const key = (id: string): string => `arn:aws:kms:${REGION}:${ACCOUNT}:key/${id}`

test("with a KMS key, objects are created under that key or by the bucket's default, and under no other", async () => {
  const own = policies({ KmsKeyArn: key("own") })
  const create = async (all: Policies, more: Readonly<Record<string, string>>): Promise<string> => {
    const context = { "s3:if-none-match": "*", ...more }
    const row = { principal: "source", action: "s3:PutObject", resource: name, context } as const
    return await judge(row, identityOf("source", all), policyOn(row, all))
  }
  const header = "s3:x-amz-server-side-encryption"
  const under = (id: string) => ({ [header]: "aws:kms", [`${header}-aws-kms-key-id`]: key(id) })
  assert.equal(await create(own, {}), "Allowed")
  assert.equal(await create(own, under("own")), "Allowed")
  assert.equal(await create(own, under("foreign")), "ExplicitlyDenied")
  assert.equal(await create(own, { [`${header}-customer-algorithm`]: "AES256" }), "ExplicitlyDenied")
  assert.equal(await create(policies(), { [header]: "AES256" }), "Allowed")
  assert.equal(await create(policies(), under("own")), "ExplicitlyDenied")
})

test("a person's role is taken with a second factor, or without where the template says so", async () => {
  for (const role of ["operator", "administrator"] as const) {
    const take = async (all: Policies, context: Readonly<Record<string, string>>): Promise<boolean> => {
      const row = { principal: "account", action: "sts:AssumeRole", resource: roleArn(role), context } as const
      return (await judge(row, [EVERYTHING], policyOn(row, all))) === "Allowed"
    }
    assert.equal(await take(policies(), {}), false)
    assert.equal(await take(policies(), { "aws:MultiFactorAuthPresent": "true" }), true)
    assert.equal(await take(policies({ SecondFactor: "false" }), {}), true)
  }
})

test("whoever is named takes a role, and nobody else", async () => {
  const named = policies({
    OperatorArn: roleArn("holder"),
    TrustedArn: roleArn("holder"),
    AdministratorArn: roleArn("holder"),
  })
  for (const role of ["source", "operator", "administrator"] as const) {
    for (const [principal, fine] of [
      ["holder", true],
      ["stranger", false],
    ] as const) {
      const context = { "aws:MultiFactorAuthPresent": "true" }
      const row = { principal, action: "sts:AssumeRole", resource: roleArn(role), context }
      assert.equal((await judge(row, [EVERYTHING], policyOn(row, named))) === "Allowed", fine, `${principal} ${role}`)
    }
  }
})

test("a source's role is for what it runs on, and for nothing else", () => {
  const services = { server: "ec2", function: "lambda", task: "ecs-tasks" }
  for (const [RunsOn, service] of Object.entries(services)) {
    const [statement, ...others] = policies({ RunsOn }).trust.source.Statement
    assert.deepEqual([statement?.Principal, others], [{ Service: `${service}.amazonaws.com` }, []])
  }
  const named = policies({ RunsOn: "function", TrustedArn: roleArn("holder") }).trust.source
  assert.deepEqual(named.Statement[0]?.Principal, { AWS: roleArn("holder") })
})

test("a replica is written by the role of the archive's stack alone, and nobody deletes there", async () => {
  const policyFor = (arn: string): Policy => {
    const stack = resolve(template("replica"), { ReplicationRoleArn: arn }, { Replica: "the-bucket" })
    return stack["ReplicaPolicy"]?.Properties["PolicyDocument"] as Policy
  }
  // In another account, as the replication role is.
  const replicates = policyFor(roleArn("stranger"))
  const ask = async (principal: Principal, action: string, policy: Policy): Promise<boolean> =>
    (await judge({ principal, action, resource: name }, [EVERYTHING], policy)) === "Allowed"
  assert.equal(await ask("stranger", "s3:ReplicateObject", replicates), true)
  assert.equal(await ask("stranger", "s3:ReplicateObject", policyFor("")), false)
  for (const principal of ["stranger", "account", "deployer"] as const)
    for (const action of ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ReplicateDelete", "s3:PutObjectRetention"])
      assert.equal(await ask(principal, action, replicates), false, `${principal} ${action}`)
  for (const action of ["s3:PutObject", "s3:ReplicateObject", "s3:ReplicateTags"])
    assert.equal(await ask("account", action, replicates), false, action)
  const row = { principal: "account", action: "s3:PutBucketPolicy", resource: "" } as const
  assert.equal(await judge(row, [EVERYTHING], replicates), "ExplicitlyDenied")
  assert.equal(await judge({ ...row, principal: "deployer" }, [EVERYTHING], replicates), "Allowed")
})

test("with names as long as they get, each policy fits: a role's into 6,144 letters, a bucket's into 20 KiB", () => {
  const { Parameters } = JSON.parse(template("archive")) as { Parameters: Record<string, { MaxLength: number }> }
  const longest = (parameter: string): string => "p".repeat(Parameters[parameter]?.MaxLength ?? assert.fail(parameter))
  const Bucket = "b".repeat(63)
  const long = policies({ Path: longest("Path"), Base: longest("Base"), Source: "s".repeat(63), Bucket })
  const text = (policy: Policy): number => JSON.stringify(policy).replaceAll("the-bucket", Bucket).length
  for (const [role, policy] of Object.entries(long.roles)) assert.ok(text(policy) <= 6144, `${role}: ${text(policy)}`)
  assert.ok(text(long.bucket) <= 20_480)
})

// `doctor` on an archive in a bucket that is set as the stack sets it: every check passes; each fails once the bucket is set
// otherwise, and no other with it; what the server refuses to tell is neither good nor bad. The server is moto, with a proxy
// before it that can refuse a question and set another clock. The bucket's policy and lock lie at another bucket, where the
// proxy fetches them: moto enforces a policy without looking at its conditions, and changes no lock where there are objects.

import assert from "node:assert/strict"
import { createServer, request as forward, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { after, before, test } from "node:test"
import {
  CreateBucketCommand,
  DeleteBucketEncryptionCommand,
  DeleteBucketLifecycleCommand,
  DeleteBucketPolicyCommand,
  DeletePublicAccessBlockCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  PutPublicAccessBlockCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { exitCode } from "@backup-cloud/format"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { rootTrouble } from "../src/checks/bucket.ts"
import { of, run } from "./run.ts"
import { World } from "./world.ts"

const Bucket = "the-bucket"
const BESIDE = "beside-the-bucket"
const ARN = `arn:aws:s3:::${Bucket}`
const world = new World()
let moto: Moto
let proxy: Server
let client: S3Client
/** What the proxy refuses, and by how much it sets the clock forward. */
let front: { readonly refused: RegExp; readonly status: number; readonly ahead: number }
const plain: typeof front = { refused: /^$/, status: 403, ahead: 0 }

interface Checked {
  readonly name: string
  readonly ok: boolean | null
  readonly problem?: string
  readonly mend?: string
}

before(async () => {
  moto = await startMoto()
  front = plain
  proxy = createServer((incoming, outgoing) => {
    const url = incoming.url ?? "/"
    if (front.refused.test(url)) {
      outgoing.writeHead(front.status, { "content-type": "application/xml" })
      outgoing.end("<Error><Code>AccessDenied</Code><Message>by the proxy</Message></Error>")
      incoming.resume()
      return
    }
    const options = {
      method: incoming.method ?? "",
      headers: incoming.headers,
      path: url.replace(/^\/the-bucket(?=.*[?&](?:policy|object-lock)\b)/, `/${BESIDE}`),
    }
    const onward = forward(moto.endpoint, options, (answer) => {
      const date = new Date(Date.now() + front.ahead).toUTCString()
      outgoing.writeHead(answer.statusCode ?? 502, { ...answer.headers, date })
      answer.pipe(outgoing)
    })
    onward.once("error", () => outgoing.destroy())
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => {
    proxy.listen(0, "127.0.0.1", resolve)
  })
  client = new S3Client({
    endpoint: moto.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: anybody,
  })
  await client.send(new CreateBucketCommand({ Bucket }))
  await client.send(new CreateBucketCommand({ Bucket: BESIDE, ObjectLockEnabledForBucket: true }))
  for (const set of Object.values(settings)) await set()
  for (const name of ["admin", "alice"]) world.person(name)
  const admin = world.fingerprints.get("admin") ?? ""
  const { port } = proxy.address() as AddressInfo
  const url = `s3://${Bucket}/some/place?endpoint=${encodeURIComponent(`http://127.0.0.1:${port}`)}&region=us-east-1`
  const made = await command("init", url, "--admin", admin, "--holder", world.file("alice.asc"))
  assert.equal(made.status, 0, made.stderr)
})
after(async () => {
  world.end()
  client.destroy()
  proxy.closeAllConnections()
  await new Promise((resolve) => proxy.close(resolve))
  await moto.close()
})

const lock = async (mode: "COMPLIANCE" | "GOVERNANCE", days: number): Promise<void> => {
  const ObjectLockConfiguration = {
    ObjectLockEnabled: "Enabled",
    Rule: { DefaultRetention: { Mode: mode, Days: days } },
  } as const
  await client.send(new PutObjectLockConfigurationCommand({ Bucket: BESIDE, ObjectLockConfiguration }))
}
const versions = async (Status: "Enabled" | "Suspended"): Promise<void> => {
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }))
}
const block = async (RestrictPublicBuckets: boolean): Promise<void> => {
  const others = { BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true }
  const PublicAccessBlockConfiguration = { ...others, RestrictPublicBuckets }
  await client.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }))
}
const encrypt = async (): Promise<void> => {
  const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" as const } }]
  await client.send(new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration: { Rules } }))
}
const abort = async (Prefix: string): Promise<void> => {
  const rule = { ID: "uploads", Status: "Enabled", AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } } as const
  const LifecycleConfiguration = { Rules: [{ ...rule, Filter: { Prefix } }] }
  await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }))
}
const tls = {
  Effect: "Deny",
  Principal: "*",
  Action: "s3:*",
  Resource: [ARN, `${ARN}/*`],
  Condition: { Bool: { "aws:SecureTransport": "false" } },
}
const creates = {
  ...{ Effect: "Deny", Principal: { AWS: "*" }, Action: ["s3:PutObject"], Resource: `${ARN}/*` },
  Condition: { Null: { "s3:if-none-match": "true" } },
}
const policy = async (...Statement: object[]): Promise<void> => {
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement })
  await client.send(new PutBucketPolicyCommand({ Bucket: BESIDE, Policy }))
}

/** As the stack sets them. */
const settings = {
  versions: () => versions("Enabled"),
  lock: () => lock("COMPLIANCE", 277),
  block: () => block(true),
  encrypt,
  abort: () => abort(""),
  policy: () => policy(tls, creates),
}

async function command(...args: string[]) {
  const keys = { AWS_ACCESS_KEY_ID: anybody.accessKeyId, AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey }
  return await run(of(world, "admin", { ...keys, TMPDIR: world.place }), ...args)
}

/** What is not well, by what doctor says in JSON. */
async function notWell(): Promise<Checked[]> {
  const { status, stdout, stderr } = await command("doctor", "--json")
  const events = stdout.trimEnd().split("\n")
  const checks = events
    .map((line) => JSON.parse(line) as Checked & { readonly event: string })
    .filter(({ event }) => event === "check")
  assert.ok(checks.length > 15, stdout + stderr)
  assert.equal(status, checks.every(({ ok }) => ok !== false) ? 0 : exitCode["open-risk"], stdout + stderr)
  return checks.filter(({ ok }) => ok !== true)
}

/** Of the checks the one whose name has `name` fails, and no other, and says `problem`. */
async function fails(name: RegExp, problem: RegExp): Promise<void> {
  const [check, ...more] = await notWell()
  assert.deepEqual(more, [])
  assert.match(check?.name ?? "", name)
  assert.equal(check?.ok, false)
  assert.match(check.problem ?? "", problem)
  assert.ok((check.mend ?? "").length > 10)
}

test("all is well with a bucket that is set as the stack sets it, and who asks is told", async () => {
  const { status, stdout, stderr } = await command("doctor")
  assert.equal(status, 0, stdout + stderr)
  assert.match(stdout, /^ok {4}the bucket locks objects in COMPLIANCE mode for 277 days or more$/m)
  assert.match(stdout, /^ok {4}this machine comes as arn:aws:sts::123456789012:user\/moto, /m)
  assert.match(stdout, /^All [0-9]+ checks passed\.$/m)
})

test("each setting that is another one is told, and no other with it", async () => {
  const cases: readonly (readonly [keyof typeof settings, () => Promise<unknown>, RegExp, RegExp])[] = [
    ["versions", () => versions("Suspended"), /keeps versions/, /deleted or overwritten is gone/],
    ["lock", () => lock("COMPLIANCE", 276), /locks objects/, /locks them for 276 days/],
    ["lock", () => lock("GOVERNANCE", 400), /locks objects/, /the mode is GOVERNANCE/],
    ["block", () => block(false), /closed to the public/, /not on: RestrictPublicBuckets$/],
    [
      "block",
      () => client.send(new DeletePublicAccessBlockCommand({ Bucket })),
      /closed to the public/,
      /BlockPublicAcls, .*RestrictPublicBuckets$/,
    ],
    ["encrypt", () => client.send(new DeleteBucketEncryptionCommand({ Bucket })), /encrypts/, /does not/],
    ["abort", () => client.send(new DeleteBucketLifecycleCommand({ Bucket })), /broken-off uploads/, /no lifecycle/],
    ["abort", () => abort("elsewhere/"), /broken-off uploads/, /no lifecycle/],
    ["policy", () => policy(creates), /without TLS/, /no statement/],
    ["policy", () => policy(tls), /to overwrite/, /without If-None-Match/],
  ]
  for (const [setting, other, name, problem] of cases) {
    await other()
    await fails(name, problem)
    await settings[setting]()
  }
  await abort("some/")
  assert.deepEqual(await notWell(), [], "a rule for the archive's own folder will do")
  await settings.abort()
})

test("a statement that denies less does not count, and no policy has none", async () => {
  const narrower = [
    { ...tls, Effect: "Allow" },
    { ...tls, Principal: { AWS: "arn:aws:iam::123456789012:root" } },
    { ...tls, Resource: [`${ARN}/other/*`] },
    { ...tls, Action: "s3:GetObject" },
    { ...tls, Condition: { ...tls.Condition, StringEquals: { "aws:PrincipalAccount": "1" } } },
  ]
  await policy(creates, ...narrower)
  await fails(/without TLS/, /no statement/)
  await client.send(new DeleteBucketPolicyCommand({ Bucket: BESIDE }))
  const names = (await notWell()).map(({ name }) => name)
  assert.equal(names.length, 2)
  await settings.policy()
})

test("a clock that is off by more than five minutes is told; less is not", async () => {
  front = { ...plain, ahead: 4 * 60_000 }
  assert.deepEqual(await notWell(), [])
  front = { ...plain, ahead: 7 * 60_000 }
  await fails(/clocks .* of the bucket/, /^this one is 7 minutes behind/)
  front = { ...plain, ahead: -7 * 60_000 }
  await fails(/clocks .* of the bucket/, /^this one is 7 minutes ahead/)
  front = plain
})

test("what the server refuses to tell is neither good nor bad", async () => {
  // A bucket that is set badly is not called good where nobody may ask.
  await client.send(new DeletePublicAccessBlockCommand({ Bucket }))
  const refused = /[?&](publicAccessBlock|encryption|policy|lifecycle|versioning|object-lock)\b/
  front = { ...plain, refused }
  const unknown = await notWell()
  assert.equal(unknown.length, 7)
  for (const { name, ok, problem } of unknown)
    assert.deepEqual([name, ok, problem], [name, null, "these credentials may not ask"])
  const { status, stdout } = await command("doctor")
  assert.equal(status, 0)
  assert.match(stdout, /^\? {5}the bucket is closed to the public: not checked: these credentials may not ask$/m)
  assert.match(stdout, /^[0-9]+ checks passed, 7 could not be made\.$/m)

  front = { ...plain, refused: /[?&]publicAccessBlock\b/, status: 501 }
  const [untold, ...more] = await notWell()
  assert.deepEqual([untold?.ok, untold?.problem, more], [null, "the server does not tell", []])
  front = plain
  await fails(/closed to the public/, /not on/)
  await settings.block()
  assert.deepEqual(await notWell(), [])
})

test("an account's root should not be who asks", () => {
  assert.match(rootTrouble("arn:aws:iam::123456789012:root")?.mend ?? "", /assume-role/)
  for (const name of ["sts::123456789012:assumed-role/backup-cloud-Administrator/root", "iam::123456789012:user/root"])
    assert.equal(rootTrouble(`arn:aws:${name}`), null)
})

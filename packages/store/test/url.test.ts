import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { execPath } from "node:process"
import { after, before, test } from "node:test"
import { promisify } from "node:util"
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3"
import { PutParameterCommand, SSMClient } from "@aws-sdk/client-ssm"
import { directoryOf, openStore, s3Store } from "../src/index.ts"
import { fakeS3 } from "./fake-s3.ts"
import { get, put, signal, temporaryDirectory } from "./helpers.ts"
import { anybody, type Moto, startMoto } from "./moto.ts"

let moto: Moto
before(async () => {
  moto = await startMoto()
})
after(() => moto.close())

const env = { AWS_ACCESS_KEY_ID: anybody.accessKeyId, AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey }

test("url: a path or a file URL is a directory", async () => {
  const path = await temporaryDirectory()
  await put(await openStore(path, {}), "a", "x")
  assert.equal((await get(await openStore(`file://${path}`, {}), "a")).toString(), "x")
  assert.equal(directoryOf("file:///with%20space"), "/with space")
  assert.equal(directoryOf("s3://bucket/x"), null)
})

test("url: s3 with endpoint in the URL or the environment", async () => {
  const fake = await fakeS3({ now: () => new Date(0) })
  after(() => fake.close())
  await put(
    await openStore(`s3://archive/a%20b/c/?endpoint=${encodeURIComponent(fake.endpoint)}&region=eu-central-1`, env),
    "n",
    "x",
  )
  assert.match(fake.requests[0]?.headers.authorization ?? "", /Credential=anybody\/[0-9]+\/eu-central-1\/s3\//)
  const store = await openStore("s3://archive/a%20b/c", {
    ...env,
    AWS_ENDPOINT_URL: fake.endpoint,
    AWS_SESSION_TOKEN: "t",
  })
  assert.equal((await get(store, "n")).toString(), "x")
  assert.equal(fake.requests.at(-1)?.key, "a b/c/n")
  await put(
    await openStore("s3://archive/x?create=unconditional", { ...env, AWS_ENDPOINT_URL: fake.endpoint }),
    "m",
    "x",
  )
  assert.equal(fake.requests.at(-1)?.headers["if-none-match"], undefined)
  assert.equal((await get(store, "n")).toString(), "x")
  assert.equal(fake.requests.at(-1)?.headers["x-amz-security-token"], "t")
})

test("url: ssm names the bucket and the path, with slashes or without", async () => {
  const client = { endpoint: moto.endpoint, region: "us-east-1", credentials: anybody }
  const ssm = new SSMClient(client)
  const s3 = new S3Client({ ...client, forcePathStyle: true })
  await s3.send(new CreateBucketCommand({ Bucket: "named-by-ssm" }))
  const direct = s3Store({ bucket: "named-by-ssm", prefix: "some/path", endpoint: moto.endpoint, credentials: anybody })
  await put(direct, "n", "x")
  for (const [base, path] of [
    ["/my/base", "/some/path/"],
    ["/backup_cloud/base_defs", "some/path"],
  ] as const) {
    for (const [name, Value] of [
      ["s3_bucket", "named-by-ssm"],
      ["s3_path", path],
    ] as const) {
      await ssm.send(new PutParameterCommand({ Name: `${base}/${name}`, Value, Type: "String" }))
    }
  }
  const query = `?endpoint=${moto.endpoint}`
  for (const url of [`ssm:/my/base${query}`, `ssm:/my/base/${query}`, `ssm:${query}`]) {
    assert.equal((await get(await openStore(url, env), "n")).toString(), "x", url)
  }
  await assert.rejects(openStore(`ssm:/other${query}`, env), { fault: "not-found" })
  await assert.rejects(openStore(`ssm:/my/base${query}`, env, AbortSignal.abort(new Error("enough"))), {
    message: "enough",
  })
})

test("url: anything else is refused, and no secret is repeated", async () => {
  const bad = [
    "",
    "archive",
    "./archive",
    "s3:",
    "s3://",
    "s3:///x",
    "s3://b?x=y",
    "s3://bucket/x?create=no",
    "s3://bucket/x#y",
    "https://host/x",
    "file://host/x",
  ]
  for (const url of bad) await assert.rejects(openStore(url, env), { fault: "usage" }, url)
  await assert.rejects(openStore("s3://id:secret@bucket/x", env), (error: Error) => !error.message.includes("secret"))
})

test("url: a directory is opened without loading the AWS SDK", async () => {
  const path = await temporaryDirectory()
  const script = (url: string) => `
    const { openStore } = await import(${JSON.stringify(new URL("../src/index.ts", import.meta.url).href)})
    const { registerHooks } = await import("node:module")
    let loaded = 0
    registerHooks({ load: (url, context, next) => (url.includes("@aws-sdk") && loaded++, next(url, context)) })
    const store = await openStore(${JSON.stringify(url)}, ${JSON.stringify(env)})
    await store.stat("a", new AbortController().signal).catch(() => undefined)
    console.log(loaded > 0)`
  const sdkLoadedBy = async (url: string): Promise<string> => {
    const { stdout } = await promisify(execFile)(execPath, [
      "--conditions=source",
      "--input-type=module",
      "-e",
      script(url),
    ])
    return stdout.trim()
  }
  assert.equal(await sdkLoadedBy(path), "false")
  assert.equal(await sdkLoadedBy("s3://bucket/x?endpoint=http://127.0.0.1:1"), "true")
  assert.equal(await (await openStore(path, {})).stat("a", signal), null)
})

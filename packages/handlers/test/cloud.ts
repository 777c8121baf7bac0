// An archive in a bucket of moto's, found by its parameters, with people around it, and functions that run as Lambda runs
// them: the bundle alone, in a process of its own that may write nothing but temporary files and start no program.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  CreateBucketCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { ParameterType, PutParameterCommand, SSMClient } from "@aws-sdk/client-ssm"
import { bundle } from "../../../tools/bundle.ts"
import { of, run } from "../../cli/test/run.ts"
import { World } from "../../cli/test/world.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"

class CloudWorld extends World {
  override readonly archive = "ssm:/"
}

export interface Invoked {
  readonly status: number | null
  /** What it resolved to; `null` if it threw. */
  readonly reply: Readonly<Record<string, unknown>> | null
  /** Name and message of what it threw. */
  readonly error: { readonly name: string; readonly message: string } | null
  /** Lines of its log. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
  /** All that it wrote. */
  readonly text: string
  /** The most memory that the process had, in bytes: all threads together. */
  readonly memory: number
}

/** What stands around a handler in Lambda: the event, a context, and what is done with the reply. */
const RUNTIME = `
  const [file, event, remaining] = process.argv.slice(2)
  const { handler } = await import(file)
  const end = Date.now() + Number(remaining)
  const context = { getRemainingTimeInMillis: () => end - Date.now() }
  const told = await handler(JSON.parse(event), context).then(
    (reply) => ({ reply, error: null }),
    ({ name, message }) => ({ reply: null, error: { name, message } }),
  )
  process.stderr.write(JSON.stringify({ ...told, memory: process.resourceUsage().maxRSS * 1024 }))
`

export class Cloud {
  readonly world = new CloudWorld()
  readonly moto: Moto
  readonly s3: S3Client
  readonly ssm: SSMClient
  readonly folder = this.world.file("bundle")
  readonly temporary = this.world.file("tmp")
  readonly #runtime = this.world.file("runtime.mjs")

  /** What a process finds in its environment to reach moto. */
  readonly #aws: Readonly<Record<string, string>>

  private constructor(moto: Moto) {
    this.moto = moto
    this.#aws = {
      ...{ AWS_ENDPOINT_URL: moto.endpoint, AWS_REGION: "us-east-1", AWS_EC2_METADATA_DISABLED: "true" },
      ...{ AWS_ACCESS_KEY_ID: anybody.accessKeyId, AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey },
    }
    const access = { endpoint: moto.endpoint, region: "us-east-1", credentials: anybody }
    this.s3 = new S3Client({ ...access, forcePathStyle: true })
    this.ssm = new SSMClient(access)
  }

  static async open(): Promise<Cloud> {
    const cloud = new Cloud(await startMoto())
    const { world, s3 } = cloud
    Object.assign(process.env, cloud.#aws)
    await s3.send(new CreateBucketCommand({ Bucket: "archive", ObjectLockEnabledForBucket: true }))
    const on = { Status: "Enabled" } as const
    await s3.send(new PutBucketVersioningCommand({ Bucket: "archive", VersioningConfiguration: on }))
    const lock = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: { Mode: "COMPLIANCE", Days: 1 } } } as const
    await s3.send(new PutObjectLockConfigurationCommand({ Bucket: "archive", ObjectLockConfiguration: lock }))
    await cloud.put("/backup_cloud/base_defs/s3_bucket", "archive", "String")
    await cloud.put("/backup_cloud/base_defs/s3_path", "some/place", "String")
    await s3.send(new CreateBucketCommand({ Bucket: "data" }))
    for (const folder of [cloud.temporary, world.file("files")]) mkdirSync(folder)
    world.start(world.file("files"))
    await bundle(cloud.folder)
    writeFileSync(cloud.#runtime, RUNTIME)
    return cloud
  }

  async put(Name: string, Value: string, Type: ParameterType): Promise<void> {
    await this.ssm.send(new PutParameterCommand({ Name, Value, Type, Overwrite: true }))
  }

  async object(Key: string, Body: Uint8Array): Promise<void> {
    await this.s3.send(new PutObjectCommand({ Bucket: "data", Key, Body }))
  }

  /** Enrols a source with an identity of its own. */
  enrol(name: string, url: string): void {
    const certificate = this.world.file(`${name}.asc`)
    const identity = `ssm:/backup-cloud/identity/${name}`
    this.world.ok("admin", "source", "keygen", name, url, "--identity", identity, "--out", certificate)
    this.world.ok("admin", "source", "add", name, url, "--certificate", certificate)
  }

  /**
   * One invocation of the bundled function `backup`.
   * @param remaining milliseconds that it has
   * @param more over its environment
   */
  async invoke(event: unknown, remaining: number, more: Readonly<Record<string, string>> = {}): Promise<Invoked> {
    const { source = "" } = event as { source?: string }
    const env = {
      ...this.#aws,
      PATH: "",
      TMPDIR: this.temporary,
      BACKUP_CLOUD_ARCHIVE: "ssm:/",
      BACKUP_CLOUD_IDENTITY: `ssm:/backup-cloud/identity/${source}/`,
      ...more,
    }
    const rights = ["--permission", "--allow-fs-read=*", `--allow-fs-write=${this.temporary}`, "--allow-worker"]
    const called = [this.#runtime, join(this.folder, "backup.mjs"), JSON.stringify(event), String(remaining)]
    const child = spawn(process.execPath, [...rights, "--disable-warning=SecurityWarning", ...called], {
      cwd: "/",
      env,
      stdio: ["ignore", "pipe", "pipe"],
    })
    let text = ""
    let said = ""
    child.stdout.on("data", (piece: Buffer) => (text += piece.toString()))
    child.stderr.on("data", (piece: Buffer) => (said += piece.toString()))
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject)
      child.once("close", resolve)
    })
    assert.match(said, /^\{"reply"/, `the function said ${said}\n${text}`)
    const told = JSON.parse(said) as Pick<Invoked, "reply" | "error" | "memory">
    const lines = text.split("\n").filter((line) => line !== "")
    const log = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    return { status, ...told, log, text: text + said }
  }

  /** Invoked again for as long as it says so; all that were made. */
  async invokeAll(source: string, remaining: number, more?: Readonly<Record<string, string>>): Promise<Invoked[]> {
    const all: Invoked[] = []
    for (let event: unknown = { source }; ; ) {
      const invoked = await this.invoke(event, remaining, more)
      all.push(invoked)
      if (invoked.reply?.["outcome"] !== "continues") return all
      // As a state machine does, whose input the reply is.
      event = invoked.reply
    }
  }

  /**
   * Runs the command as somebody, and fails unless it succeeds. Not waited for in the way of the world's own: moto would wait in
   * turn for somebody to read what it logs.
   */
  async ok(who: string, ...args: string[]): Promise<void> {
    const { status, stdout, stderr } = await run(of(this.world, who, this.#aws), ...args)
    assert.equal(status, 0, `${who}: backup-cloud ${args.join(" ")}\n${stdout}${stderr}`)
  }

  /** All that lies in the last run of a source, restored into a folder, after the archive was verified. */
  async restored(source: string): Promise<string> {
    const [run, file, target] = [
      `${source}@latest`,
      this.world.file(`${source}.release`),
      this.world.file(`${source}.restored`),
    ]
    await this.ok("oscar", "verify")
    await this.ok("oscar", "request", run, "--reason", "a test", "--out", `${file}.request`)
    await this.ok("alice", "keyholder", "approve", `${file}.request`, "--out", file, "--yes")
    await this.ok("oscar", "restore", run, "--release", file, "--to", target)
    return target
  }

  /** What an invocation left among the temporary files. */
  left(): string[] {
    return readdirSync(this.temporary)
  }

  async close(): Promise<void> {
    this.s3.destroy()
    this.ssm.destroy()
    this.world.end()
    await this.moto.close()
  }
}

/** The numbers that CloudWatch would have of a log: its one line in the embedded metric format. */
export function metricsOf({ log }: Invoked): Readonly<Record<string, unknown>> {
  const found = log.filter((line) => "_aws" in line)
  assert.equal(found.length, 1)
  return found[0] ?? {}
}

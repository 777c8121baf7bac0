// node bench/scale.ts [-- --objects 4000 --files 50000 --mib 512]: what one worker needs, as the page on large buckets
// computes with it (tools/scale.ts). Processor time, not the clock: of the command and all it starts, so that a busy
// machine, and the slow server that stands for S3, change little. Run with nothing changed it only prints; what it prints
// goes into docs/scale.json by hand, with the date and the machine.

import { createCipheriv } from "node:crypto"
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { World } from "../packages/cli/test/world.ts"
import { anybody, startMoto } from "../packages/store/test/moto.ts"
import { measure } from "./measure.ts"

const { values } = parseArgs({
  options: {
    objects: { type: "string", default: "4000" },
    files: { type: "string", default: "50000" },
    mib: { type: "string", default: "512" },
  },
})
const [objects, files, mib] = [values.objects, values.files, values.mib].map(Number) as [number, number, number]
const OBJECT_BYTES = 16_384
const MiB = 1_048_576

const world = new World()
const moto = await startMoto()
/** One request to the server, which takes it from anybody. */
async function put(path: string, body?: Buffer<ArrayBuffer>): Promise<void> {
  const authorization =
    "AWS4-HMAC-SHA256 Credential=anybody/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
  const answer = await fetch(`${moto.endpoint}/${path}`, {
    ...{ method: "PUT", headers: { authorization } },
    ...(body === undefined ? {} : { body }),
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
  await answer.arrayBuffer()
}
const cipher = createCipheriv("aes-256-ctr", Buffer.alloc(32, 1), Buffer.alloc(16))
const noise = (bytes: number): Buffer<ArrayBuffer> => cipher.update(Buffer.alloc(bytes))

const program = join(import.meta.dirname, "../packages/cli/bin/backup-cloud.js")
const env = (who: string) => ({
  GNUPGHOME: world.file(who),
  BACKUP_CLOUD_HOME: join(world.file(who), "backup-cloud"),
  BACKUP_CLOUD_CONFIG: join(world.file(who), "backup-cloud.yaml"),
  AWS_ACCESS_KEY_ID: anybody.accessKeyId,
  AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey,
})

/** Seconds of processor time of one command. */
async function cpu(who: string, ...args: string[]): Promise<number> {
  const words = [program, ...args].map((each) => `'${each}'`)
  return (await measure(words.join(" "), env(who), "times")).cpu
}

/** Bytes stored below a source's folder whose names match. */
function stored(source: string, pattern: RegExp): number {
  const folder = join(world.archive, source)
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => pattern.test(name))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}

const add = (name: string, url: string): string => world.ok("admin", "source", "add", name, url)

async function fill(prefix: string, count: number): Promise<void> {
  let next = 0
  const each = async (): Promise<void> => {
    while (next < count) await put(`large/${prefix}/${String(next++).padStart(8, "0")}`, noise(OBJECT_BYTES))
  }
  await Promise.all(Array.from({ length: 8 }, each))
}

try {
  const content = world.file("content")
  const many = world.file("many")
  for (const folder of [content, many]) mkdirSync(folder)
  for (let i = 0; i * 64 < mib; i++) writeFileSync(join(content, `file-${i}`), noise(64 * MiB))
  for (let i = 0; i < files; i++) {
    const folder = join(many, String(Math.floor(i / 1000)))
    if (i % 1000 === 0) mkdirSync(folder)
    writeFileSync(join(folder, `${String(i).padStart(8, "0")}.jpg`), `content of ${i}`)
  }
  world.start(content)
  await put("large")
  await fill("some", objects)
  await fill("one", 1)
  const query = `?region=us-east-1&endpoint=${encodeURIComponent(moto.endpoint)}`
  add("some", `s3://large/some${query}`)
  add("one", `s3://large/one${query}`)
  add("many", `dir://${many}`)

  const nothing = await cpu("admin", "backup", "one")
  const first = await cpu("admin", "backup", "some")
  const again = await cpu("admin", "backup", "some")
  const bulk = await cpu("admin", "backup", "docs")
  await cpu("admin", "backup", "many")
  const release = world.release("docs@latest", "docs.release")
  const back = await cpu("oscar", "restore", "docs@latest", "--release", release, "--to", world.file("back"))

  const contentPerMib = (bulk - nothing) / mib
  console.log(
    JSON.stringify(
      {
        cpuSecondsPerMebibyte: round(contentPerMib),
        cpuSecondsPerObjectRead: round((first - nothing) / objects - (contentPerMib * OBJECT_BYTES) / MiB),
        cpuSecondsPerObjectUnchanged: round((again - nothing) / objects),
        cpuSecondsPerMebibyteRestored: round((back - nothing) / mib),
        catalogueBytesPerObject: Math.round(stored("backup/many", /catalogue-/) / files),
        measured: {
          ...{ objects, objectBytes: OBJECT_BYTES, files, mebibytes: mib },
          machine: `${cpus().length} × ${cpus()[0]?.model ?? ""}`,
        },
      },
      null,
      2,
    ),
  )
} finally {
  world.end()
  await moto.close()
}

function round(value: number): number {
  return Number(Math.max(value, 0).toPrecision(3))
}

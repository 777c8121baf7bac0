// node tools/scale.ts: computes what a very large bucket costs and how long it takes, from docs/scale.json, and writes the
// tables of docs/scale.md anew. Every number of the page comes from that file: change one, run this, read the page.

import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

export interface Inputs {
  readonly bucket: {
    readonly objects: number
    readonly bytes: number
    readonly shards: number
    /** Parts of all objects, and of what is read of them, that are stored. */
    readonly changedEachDay: number
    readonly storedPart: number
  }
  readonly worker: {
    readonly vCpu: number
    readonly memoryGib: number
    /** Of a Lambda function, which has one processor at 1,769 MB. */
    readonly lambdaGib: number
    readonly atTheSameTime: number
  }
  readonly measured: {
    readonly cpuSecondsPerMebibyte: number
    readonly cpuSecondsPerObjectRead: number
    readonly cpuSecondsPerObjectUnchanged: number
    readonly cpuSecondsPerMebibyteRestored: number
    readonly catalogueBytesPerObject: number
  }
  readonly assumed: {
    readonly objectsAhead: number
    readonly secondsPerGet: number
    readonly secondsPerPut: number
    readonly secondsPerList: number
    readonly mebibytesPerSecondOfNetwork: number
    readonly lockDays: number
    readonly holderSecondsPerOperation: number
  }
  readonly prices: {
    readonly region: string
    readonly date: string
    readonly currency: string
    readonly perThousand: Readonly<Record<"put" | "get" | "list" | "putInstantRetrieval" | "stateTransition", number>>
    readonly gbMonth: Readonly<Record<StorageClass, number>>
    readonly gbRetrieved: Readonly<Record<StorageClass, number>>
    readonly gbOut: { readonly sameRegion: number; readonly internet: number }
    readonly vCpuHour: number
    readonly gibHour: number
    readonly lambdaGibSecond: number
    readonly metricMonth: number
  }
}

type StorageClass = "standard" | "standardInfrequentAccess" | "glacierInstantRetrieval"

const MiB = 1_048_576
const GB = 1e9
/** Sealed length of a full volume (docs/format.md). */
const VOLUME = 66_977_792
const KEYS_PER_LIST = 1000
/** Besides volumes: key, root, receipt, sums, signature, and two of the state. */
const SMALL_OBJECTS = 7
/** Of the state machine: transitions for each shard, and for an execution. */
const TRANSITIONS = { shard: 6, execution: 5 }
/** That a function works before it leaves the rest to the next one. */
const LAMBDA_SECONDS = 14 * 60
/** Metrics that each source writes. */
const METRICS = 9
/** Most runs that one run uses, itself included: private-key operations for a restore. */
const MOST_RUNS = 17
/** A source's most objects unless told, and its most volumes in a run. */
export const LIMITS = { objects: 2_000_000, volumes: 262_144 }

/** What one run of all shards takes. */
export interface Run {
  readonly lists: number
  readonly gets: number
  readonly puts: number
  readonly storedBytes: number
  /** Of one shard, and of all, with as many at the same time as there may be. */
  readonly shardHours: number
  readonly hours: number
  readonly requestCost: number
  readonly workerCost: number
  readonly machineCost: number
  /** Of one shard, were the worker a Lambda function; and the cost of these workers. */
  readonly invocations: number
  readonly lambdaCost: number
}

export interface Figures {
  readonly perShard: { readonly objects: number; readonly bytes: number; readonly volumes: number }
  readonly first: Run
  readonly daily: Run
  /** Requests to list, and hours for that in each shard, where shards are parts by digest and each lists everything. */
  readonly byDigest: { readonly lists: number; readonly cost: number; readonly hours: number }
  readonly keptBytes: number
  readonly restore: {
    readonly gets: number
    /** Into directories, and into a bucket, where each object is looked for and put before the next one. */
    readonly hours: number
    readonly bucketHours: number
    readonly bucketRequestCost: number
    readonly bucketWorkerCost: number
  }
  readonly holder: Readonly<Record<"releases" | "operations" | "mostOperations" | "hours" | "mostHours", number>>
  readonly metricsMonth: number
}

export function compute({ bucket, worker, measured, assumed, prices }: Inputs): Figures {
  const { shards } = bucket
  const hourOfWorker = worker.vCpu * prices.vCpuHour + worker.memoryGib * prices.gibHour
  const waves = Math.ceil(shards / worker.atTheSameTime)
  const thousand = prices.perThousand
  const catalogue = bucket.objects * measured.catalogueBytesPerObject
  const allLists = Math.ceil(bucket.objects / KEYS_PER_LIST)

  const run = (part: number): Run => {
    const objects = bucket.objects * part
    const bytes = bucket.bytes * part
    // The state is the catalogue and root once more.
    const storedBytes = bytes * bucket.storedPart + 2 * catalogue * part
    const cpu =
      (bytes / MiB) * measured.cpuSecondsPerMebibyte +
      objects * measured.cpuSecondsPerObjectRead +
      (bucket.objects - objects) * measured.cpuSecondsPerObjectUnchanged
    const listing = (allLists / shards) * assumed.secondsPerList
    const waiting = (objects / shards / assumed.objectsAhead) * assumed.secondsPerGet
    const moving = (bytes + storedBytes) / shards / MiB / assumed.mebibytesPerSecondOfNetwork
    // What takes longest decides; the list is taken before.
    const shardHours = (listing + Math.max(cpu / shards / worker.vCpu, waiting, moving)) / 3600
    const lambdaSeconds = listing + Math.max(cpu / shards, waiting, moving)
    const puts = Math.ceil(storedBytes / VOLUME) + shards * SMALL_OBJECTS
    // Each object is asked for, and its tags.
    const gets = 2 * objects
    return {
      ...{ lists: allLists, gets, puts, storedBytes, shardHours, hours: shardHours * waves },
      requestCost: (allLists * thousand.list + gets * thousand.get + puts * thousand.put) / 1000,
      workerCost: shards * shardHours * hourOfWorker,
      invocations: Math.ceil(lambdaSeconds / LAMBDA_SECONDS),
      lambdaCost: shards * lambdaSeconds * worker.lambdaGib * prices.lambdaGibSecond,
      machineCost: ((shards * TRANSITIONS.shard + TRANSITIONS.execution) * thousand.stateTransition) / 1000,
    }
  }

  const first = run(1)
  const restoreSeconds = Math.max(
    ((bucket.bytes / MiB) * measured.cpuSecondsPerMebibyteRestored) / shards / worker.vCpu,
    (first.storedBytes + bucket.bytes) / shards / MiB / assumed.mebibytesPerSecondOfNetwork,
  )
  const bucketSeconds = Math.max(
    restoreSeconds,
    (bucket.objects / shards) * (assumed.secondsPerGet + assumed.secondsPerPut),
  )
  const restoreGets = Math.ceil(first.storedBytes / VOLUME) + shards * SMALL_OBJECTS
  return {
    perShard: {
      objects: bucket.objects / shards,
      bytes: bucket.bytes / shards,
      volumes: Math.ceil((bucket.bytes * bucket.storedPart) / VOLUME / shards),
    },
    first,
    daily: run(bucket.changedEachDay),
    byDigest: {
      lists: allLists * shards,
      cost: (allLists * shards * thousand.list) / 1000,
      hours: (allLists * assumed.secondsPerList) / 3600,
    },
    keptBytes: first.storedBytes + assumed.lockDays * run(bucket.changedEachDay).storedBytes,
    restore: {
      gets: restoreGets,
      hours: (restoreSeconds / 3600) * waves,
      bucketHours: (bucketSeconds / 3600) * waves,
      bucketRequestCost: (restoreGets * thousand.get + bucket.objects * (thousand.put + thousand.get)) / 1000,
      bucketWorkerCost: shards * (bucketSeconds / 3600) * hourOfWorker,
    },
    holder: {
      ...{ releases: shards, operations: shards, mostOperations: shards * MOST_RUNS },
      hours: (shards * assumed.holderSecondsPerOperation) / 3600,
      mostHours: (shards * MOST_RUNS * assumed.holderSecondsPerOperation) / 3600,
    },
    metricsMonth: shards * METRICS * prices.metricMonth,
  }
}

const count = (value: number): string => {
  for (const [size, name] of [
    [1e9, "billion"],
    [1e6, "million"],
  ] as const)
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${name}`
  return Math.round(value).toLocaleString("en-US")
}
const bytes = (value: number): string => {
  const [size, unit] = (
    [
      [1e15, "PB"],
      [1e12, "TB"],
      [1e9, "GB"],
    ] as const
  ).find(([each]) => value >= each) ?? [1e6, "MB"]
  return `${Number((value / size).toPrecision(3))} ${unit}`
}
const money = (value: number): string => `$${value < 10 ? value.toFixed(2) : Math.round(value).toLocaleString("en-US")}`
const time = (hours: number): string =>
  hours < 1
    ? `${Math.max(1, Math.round(hours * 60))} min`
    : hours < 48
      ? `${hours.toFixed(1)} h`
      : `${(hours / 24).toFixed(1)} days`

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")

/** The page's tables by their names. */
export function tables(inputs: Inputs): ReadonlyMap<string, string> {
  const { bucket, worker, measured, assumed, prices } = inputs
  const all = compute(inputs)
  const { first, daily } = all
  const sum = ({ requestCost, workerCost, machineCost }: Run): number => requestCost + workerCost + machineCost
  const runRow = (name: string, of: (run: Run) => string): string[] => [name, of(first), of(daily)]
  const storage = (
    [
      ["S3 Standard", "standard", prices.perThousand.put],
      ["S3 Standard-IA", "standardInfrequentAccess", prices.perThousand.put * 2],
      ["S3 Glacier Instant Retrieval", "glacierInstantRetrieval", prices.perThousand.putInstantRetrieval],
    ] as const
  ).map(([name, id, put]) => [
    name,
    money((first.storedBytes / GB) * prices.gbMonth[id]),
    money((all.keptBytes / GB) * prices.gbMonth[id]),
    money((first.puts * put) / 1000),
    money((first.storedBytes / GB) * prices.gbRetrieved[id]),
  ])
  const listed = (what: Readonly<Record<string, unknown>>): string[][] =>
    Object.entries(what)
      .filter(([, value]) => typeof value === "number")
      .map(([name, value]) => [`\`${name}\``, String(value)])
  return new Map([
    [
      "inputs",
      table(["input", "value"], [...listed(bucket), ...listed(worker), ...listed(measured), ...listed(assumed)]),
    ],
    [
      "shards",
      table(
        ["", "one shard", "limit"],
        [
          ["objects", count(all.perShard.objects), `${count(LIMITS.objects)} unless told`],
          ["content", bytes(all.perShard.bytes), "100 TB"],
          ["volumes in the first run", count(all.perShard.volumes), `${count(LIMITS.volumes)} a run`],
        ],
      ),
    ],
    [
      "runs",
      table(
        ["", "first run", "each day"],
        [
          runRow("read", (run) => `${count(run.gets / 2)} objects`),
          runRow("stored", (run) => bytes(run.storedBytes)),
          runRow("requests LIST", (run) => count(run.lists)),
          runRow("requests GET", (run) => count(run.gets)),
          runRow("requests PUT", (run) => count(run.puts)),
          runRow("time of one shard", (run) => time(run.shardHours)),
          runRow(`time of all, ${worker.atTheSameTime} at the same time`, (run) => time(run.hours)),
          runRow("cost of requests", (run) => money(run.requestCost)),
          runRow("cost of the workers", (run) => money(run.workerCost)),
          runRow("cost of the state machine", (run) => money(run.machineCost)),
          runRow("**cost**", (run) => `**${money(sum(run))}**`),
          runRow("were they Lambda functions: invocations of one shard", (run) => count(run.invocations)),
          runRow("and the cost of the functions", (run) => money(run.lambdaCost)),
        ],
      ),
    ],
    [
      "listing",
      table(
        ["shards by", "requests LIST in each run", "cost of them", "time to list, in each shard"],
        [
          [
            "ranges of keys",
            count(first.lists),
            money((first.lists * prices.perThousand.list) / 1000),
            time(all.byDigest.hours / bucket.shards),
          ],
          [
            "digest of the key (`--shards`)",
            count(all.byDigest.lists),
            money(all.byDigest.cost),
            time(all.byDigest.hours),
          ],
        ],
      ),
    ],
    [
      "storage",
      table(
        [
          "class",
          "a month, after the first run",
          `a month, after ${assumed.lockDays} days`,
          "PUT of the first run",
          "reading all of it once",
        ],
        storage,
      ),
    ],
    [
      "restore",
      table(
        ["restore of everything", ""],
        [
          ["requests GET of the archive", count(all.restore.gets)],
          [`time, into directories, ${worker.atTheSameTime} shards at the same time`, time(all.restore.hours)],
          ["time, into a bucket", time(all.restore.bucketHours)],
          ["cost of requests, into a bucket", money(all.restore.bucketRequestCost)],
          ["cost of the workers, into a bucket", money(all.restore.bucketWorkerCost)],
          ["out of AWS over the Internet instead", money((bucket.bytes / GB) * prices.gbOut.internet)],
          ["releases that a key holder reviews", count(all.holder.releases)],
          [
            "private-key operations, of runs that use no earlier one",
            `${count(all.holder.operations)}, ${time(all.holder.hours)}`,
          ],
          [
            `private-key operations at most, ${MOST_RUNS} a shard`,
            `${count(all.holder.mostOperations)}, ${time(all.holder.mostHours)}`,
          ],
        ],
      ),
    ],
    ["metrics", `${money(all.metricsMonth)} a month`],
    ["prices", `${prices.region}, ${prices.currency}, ${prices.date}`],
  ])
}

/** The page with its tables made anew: what stands between `<!-- name -->` and `<!-- end -->`. */
export function fill(page: string, made: ReadonlyMap<string, string>): string {
  return page.replace(/<!-- (\w+) -->[^]*?<!-- end -->/g, (_, name: string) => {
    const text = made.get(name)
    if (text === undefined) throw new Error(`docs/scale.md: there is no table ${name}`)
    return `<!-- ${name} -->${text.includes("\n") ? `\n${text}\n` : text}<!-- end -->`
  })
}

const docs = join(dirname(import.meta.dirname), "docs")
export const readInputs = (): Inputs => JSON.parse(readFileSync(join(docs, "scale.json"), "utf8")) as Inputs
export const readPage = (): string => readFileSync(join(docs, "scale.md"), "utf8")

if (import.meta.main) writeFileSync(join(docs, "scale.md"), fill(readPage(), tables(readInputs())))

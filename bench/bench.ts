// npm run bench [-- --mib 256 --rounds 3 --data small,text,noise --tools backup-cloud,restic]: backup-cloud beside restic, borg, duplicity and tar | zstd | gpg, on the same data,
// the tools in turn within each round. Medians, and ratios to restic within this run: single times mean little on a shared
// machine. Memory is taken in one more round of its own. A tool that is not installed is named as not measured.

import { execFileSync, spawnSync } from "node:child_process"
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { makeData } from "./data.ts"
import { type Measured, measure, median } from "./measure.ts"

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "256" },
    rounds: { type: "string", default: "3" },
    data: { type: "string", default: "small,text,noise" },
    tools: { type: "string", default: "backup-cloud,restic,borg,duplicity,tar|zstd|gpg" },
  },
})
const place = mkdtempSync(join(tmpdir(), "bc-bench-"))
const own = resolve(import.meta.dirname, "../packages/cli/bin/backup-cloud.js")
const env = {
  GNUPGHOME: join(place, "keys"),
  BACKUP_CLOUD_HOME: join(place, "home"),
  BACKUP_CLOUD_CONFIG: join(place, "backup-cloud.yaml"),
  RESTIC_PASSWORD: "bench",
  RESTIC_CACHE_DIR: join(place, "restic-cache"),
  BORG_PASSPHRASE: "bench",
  BORG_BASE_DIR: join(place, "borg-home"),
  PASSPHRASE: "bench",
}
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, {
    env: { ...process.env, ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  })

interface Tool {
  readonly name: string
  readonly program: string
  setup(repository: string, data: string): void
  backup(repository: string, data: string): string
  verify: ((repository: string) => string) | null
  restore(repository: string, data: string, target: string): string
}

function key(name: string): string {
  run(
    "gpg",
    "--batch",
    "--pinentry-mode",
    "loopback",
    "--passphrase",
    "",
    "--quick-gen-key",
    `${name} <${name}@bench.example>`,
    "ed25519",
    "sign",
    "never",
  )
  const fingerprint = /^fpr:+([0-9A-F]{40})/m.exec(run("gpg", "--with-colons", "--list-keys", name))?.[1] ?? ""
  run(
    "gpg",
    "--batch",
    "--pinentry-mode",
    "loopback",
    "--passphrase",
    "",
    "--quick-add-key",
    fingerprint,
    "cv25519",
    "encr",
    "never",
  )
  writeFileSync(join(place, `${name}.asc`), run("gpg", "--armor", "--export", fingerprint))
  return fingerprint
}

mkdirSync(env.GNUPGHOME, { mode: 0o700 })
const [admin = ""] = ["admin", "holder", "operator"].map(key)

const backupCloud: Tool = {
  name: "backup-cloud",
  program: process.execPath,
  setup(repository, data) {
    for (const name of [env.BACKUP_CLOUD_HOME, env.BACKUP_CLOUD_CONFIG]) rmSync(name, { recursive: true, force: true })
    mkdirSync(repository)
    run(
      own,
      "init",
      repository,
      "--admin",
      admin,
      "--holder",
      join(place, "holder.asc"),
      "--operator",
      join(place, "operator.asc"),
    )
    run(own, "source", "add", "data", `dir://${data}`)
  },
  backup: () => `${own} backup --quiet`,
  verify: () => `${own} verify --quiet`,
  restore(_repository, _data, target) {
    const [request, release] = [`${target}.request`, `${target}.release`]
    // Those of another kind of data are of no use here.
    for (const file of [request, release]) rmSync(file, { force: true })
    run(own, "request", "data@latest", "--reason", "bench", "--out", request)
    run(own, "keyholder", "approve", request, "--out", release, "--yes")
    return `${own} restore data@latest --release ${release} --to ${target} --quiet`
  },
}
const restic: Tool = {
  name: "restic",
  program: "restic",
  setup: (repository) => run("restic", "init", "-q", "-r", repository),
  backup: (repository, data) => `restic -q -r ${repository} backup ${data}`,
  verify: (repository) => `restic -q -r ${repository} check --read-data`,
  restore: (repository, _data, target) => `restic -q -r ${repository} restore latest --target ${target}`,
}
const borg: Tool = {
  name: "borg",
  program: "borg",
  setup: (repository) => run("borg", "init", "-e", "repokey", repository),
  backup: (repository, data) => `borg create --compression zstd,3 ${repository}::'{now:%s.%f}' ${data}`,
  verify: (repository) => `borg check --verify-data ${repository}`,
  restore: (repository, _data, target) =>
    `mkdir ${target} && cd ${target} && borg extract ${repository}::$(borg list --short --last 1 ${repository})`,
}
const duplicity: Tool = {
  name: "duplicity",
  program: "duplicity",
  setup: () => undefined,
  backup: (repository, data) =>
    `duplicity --archive-dir ${place}/duplicity-cache --name ${repository.replaceAll("/", "_")} ${data} file://${repository}`,
  verify: null,
  restore: (repository, _data, target) =>
    `duplicity restore --archive-dir ${place}/duplicity-cache --name ${repository.replaceAll("/", "_")} file://${repository} ${target}`,
}
const pipe: Tool = {
  name: "tar|zstd|gpg",
  program: "zstd",
  setup: (repository) => {
    mkdirSync(repository)
  },
  backup: (repository, data) =>
    `tar -cf - -C ${data} . | zstd -3 -q | gpg --batch --yes --trust-model always -e -r holder --compress-algo none -o ${repository}/all.gpg`,
  verify: null,
  restore: (repository, _data, target) =>
    `mkdir ${target} && gpg -q --batch -d ${repository}/all.gpg | zstd -dq | tar -xf - -C ${target}`,
}

const steps = ["first", "unchanged", "changed", "verify", "restore"] as const
type Step = (typeof steps)[number]
type Results = Map<string, Map<Step, Measured[]>>

async function round(
  tool: Tool,
  data: string,
  number: number,
  want: "times" | "memory",
  results: Results,
  stored: Map<string, number>,
): Promise<void> {
  const repository = join(place, `${tool.name.replaceAll("|", "-")}-${number}`)
  const target = `${repository}-restored`
  const of = results.get(tool.name) ?? new Map<Step, Measured[]>()
  results.set(tool.name, of)
  const step = async (name: Step, command: string): Promise<void> => {
    of.set(name, [...(of.get(name) ?? []), await measure(command, env, want)])
  }
  tool.setup(repository, data)
  await step("first", tool.backup(repository, data))
  stored.set(tool.name, Number(run("du", "-sk", repository).split("\t")[0]))
  await step("unchanged", tool.backup(repository, data))
  appendFileSync(join(data, "changed"), `round ${number} of ${tool.name}\n`)
  await step("changed", tool.backup(repository, data))
  if (tool.verify !== null) await step("verify", tool.verify(repository))
  await step("restore", tool.restore(repository, data, target))
  for (const name of [repository, target]) rmSync(name, { recursive: true, force: true })
}

function show(results: Results, memory: Results, stored: ReadonlyMap<string, number>): void {
  const print = (cells: readonly string[]): void => {
    process.stdout.write(`${cells.map((cell, i) => (i < 2 ? cell.padEnd(13) : cell.padStart(10))).join(" ")}\n`)
  }
  print(["tool", "step", "wall s", "/restic", "cpu s", "/restic", "MiB", "stored MiB"])
  for (const [name, of] of results) {
    for (const step of steps) {
      const runs = of.get(step)
      if (runs === undefined) continue
      const mid = (pick: (m: Measured) => number, from: readonly Measured[]): number => median(from.map(pick))
      const peer = results.get("restic")?.get(step)
      const ratio = (pick: (m: Measured) => number): string =>
        peer === undefined ? "" : (mid(pick, runs) / mid(pick, peer)).toFixed(2)
      const size = step === "first" ? ((stored.get(name) ?? 0) / 1024).toFixed(0) : ""
      print([
        name,
        step,
        mid((m) => m.wall, runs).toFixed(2),
        ratio((m) => m.wall),
        mid((m) => m.cpu, runs).toFixed(2),
        ratio((m) => m.cpu),
        mid((m) => m.memory, memory.get(name)?.get(step) ?? []).toFixed(0),
        size,
      ])
    }
  }
}

try {
  const data = makeData(join(place, "data"), Number(values.mib))
  const named = values.tools.split(",")
  const tools = [backupCloud, restic, borg, duplicity, pipe].filter((tool) => {
    if (!named.includes(tool.name)) return false
    const there = tool === backupCloud || spawnSync("sh", ["-c", `command -v ${tool.program}`]).status === 0
    if (!there) process.stdout.write(`${tool.name}: not measured, it is not installed\n`)
    return there
  })
  for (const [kind, folder] of Object.entries(data)) {
    if (!values.data.split(",").includes(kind)) continue
    const times: Results = new Map()
    const memory: Results = new Map()
    const stored = new Map<string, number>()
    const rounds = Number(values.rounds)
    for (let number = 0; number <= rounds; number++) {
      const into = number < rounds ? times : memory
      for (const tool of tools) await round(tool, folder, number, into === times ? "times" : "memory", into, stored)
    }
    process.stdout.write(`\n${kind}: ${values.mib} MiB, medians of ${values.rounds} rounds\n`)
    show(times, memory, stored)
  }
} finally {
  spawnSync("gpgconf", ["--homedir", env.GNUPGHOME, "--kill", "all"])
  rmSync(place, { recursive: true, force: true })
}

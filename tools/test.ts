// Runs every test file of the workspace, each in a process of its own, two at a time, straight from TypeScript. A line
// for each file when it is done, the whole error of each failure, and `N passed, N failed` alone on the last line.
// Nothing is passed over in silence: a skipped or todo test, a file without tests and a package without test files
// count as failed, and of long soaks, which `--soak` runs, it is said how many were left out.

import { globSync } from "node:fs"
import { dirname, relative } from "node:path"
import { run } from "node:test"
import { inspect } from "node:util"

const root = dirname(import.meta.dirname)
const patterns = [
  "packages/*/test/**/*.test.ts",
  "tools/**/*.test.ts",
  "recovery/test/**/*.test.ts",
  "bench/**/*.test.ts",
  "vectors/**/*.test.ts",
]
/** What goes on for minutes: many kills, every object damaged in every way. */
const SOAK = ".soak.test.ts"
/** A test file that takes longer hangs. */
const PATIENCE_MS = 15 * 60_000

export interface Counts {
  passed: number
  failed: number
}

/** What of the runner's events matters here; its own declarations leave them open. */
type RunnerEvent =
  | { readonly type: "test:stdout" | "test:stderr"; readonly data: { readonly message: string } }
  | { readonly type: "test:complete"; readonly data: Completed }
  | { readonly type: "test:fail"; readonly data: Completed }

interface Completed {
  readonly name: string
  /** Absent of what is no test: a hook of the whole file. */
  readonly testId?: number
  readonly file?: string
  /** The test file, for the tests inside it; absent for the file as a whole. */
  readonly entryFile?: string
  readonly skip?: string | boolean
  readonly todo?: string | boolean
  readonly details: {
    readonly type: string
    readonly passed: boolean
    readonly duration_ms: number
    readonly error?: Error & { readonly failureType?: string }
  }
}

/** Packages that have source files but no test file. */
export function untested(sources: readonly string[], tests: readonly string[]): string[] {
  const top = (path: string): string => path.split("/").slice(0, 2).join("/")
  const tested = new Set(tests.map(top))
  return [...new Set(sources.map(top))].filter((each) => !tested.has(each)).sort()
}

function failure(out: (line: string) => void, name: string, why: unknown): void {
  out(`\nFAILED ${name}`)
  out(typeof why === "string" ? `  ${why}\n` : `${inspect(why, { depth: 4 })}\n`)
}

/** Runs `files` (absolute names) and reports through `out`. */
export async function runFiles(files: readonly string[], out: (line: string) => void): Promise<Counts> {
  const counts = { passed: 0, failed: 0 }
  const byFile = new Map(files.map((file) => [file, { passed: 0, failed: 0 }]))
  const done = new Set<string>()
  const fail = (file: string, name: string, why: unknown): void => {
    failure(out, `${relative(root, file)}: ${name}`, why)
    counts.failed++
    const entry = byFile.get(file)
    if (entry !== undefined) entry.failed++
  }
  const stream = run({
    files: [...files],
    concurrency: 2,
    timeout: PATIENCE_MS,
    execArgv: ["--conditions=source", "--disable-warning=ExperimentalWarning"],
  })
  for await (const event of stream as AsyncIterable<RunnerEvent>) {
    if (event.type === "test:stdout" || event.type === "test:stderr") out(event.data.message.trimEnd())
    // A failed hook of a whole file is reported this way only, and the process ends with status 0.
    if (event.type === "test:fail" && event.data.testId === undefined)
      fail(event.data.entryFile ?? event.data.name, "a hook of the file", event.data.details.error)
    // Unlike `test:pass` and `test:fail`, `test:complete` comes as things happen, so a file's line follows its tests.
    if (event.type !== "test:complete") continue
    const { name, details, entryFile } = event.data
    const entry = byFile.get(entryFile ?? "")
    if (entryFile === undefined || entry === undefined) {
      fileDone(event.data.file ?? name, details)
    } else if (!details.passed) {
      // A parent that fails only because of a child adds nothing; the child has been counted.
      if (details.error?.failureType !== "subtestsFailed") fail(entryFile, name, details.error?.cause ?? details.error)
    } else if ((event.data.skip ?? false) !== false || (event.data.todo ?? false) !== false) {
      fail(entryFile, name, "is marked as skipped or to do: a test that does not run proves nothing")
    } else if (details.type !== "suite") {
      counts.passed++
      entry.passed++
    }
  }
  for (const file of files) if (!done.has(file)) fail(file, "the file", "was not run")
  return counts

  function fileDone(file: string, details: Completed["details"]): void {
    done.add(file)
    const entry = byFile.get(file) ?? { passed: 0, failed: 0 }
    if (!details.passed && entry.failed === 0) fail(file, "the process of this file failed", details.error)
    else if (entry.passed + entry.failed === 0) fail(file, "the file", "holds no test")
    const seconds = (details.duration_ms / 1000).toFixed(1)
    out(
      `${entry.failed === 0 ? "ok    " : "FAILED"} ${relative(root, file)}: ${entry.passed} passed, ${entry.failed} failed, ${seconds} s`,
    )
  }
}

/**
 * Runs the test files whose path contains one of `wanted`; all of them if it is empty, but for soaks.
 * @param soak those too
 */
export async function runTests(wanted: readonly string[], soak: boolean, out: (line: string) => void): Promise<Counts> {
  const all = globSync(patterns, { cwd: root, exclude: (name) => name === "node_modules" || name === "dist" }).sort()
  const chosen = all.filter((file) => wanted.length === 0 || wanted.some((each) => file.includes(each)))
  const files = chosen.filter((file) => soak || wanted.length > 0 || !file.endsWith(SOAK))
  if (files.length < chosen.length)
    out(`left out, for npm test -- --soak to run: ${chosen.length - files.length} files of long soaks`)
  const counts = await runFiles(
    files.map((file) => `${root}/${file}`),
    out,
  )
  const sources = globSync(["packages/*/src/**/*.ts"], { cwd: root })
  const missing = wanted.length === 0 ? untested(sources, all) : files.length === 0 ? ["what was asked for"] : []
  for (const each of missing) failure(out, each, "no test file was found")
  return { passed: counts.passed, failed: counts.failed + missing.length }
}

if (import.meta.main) {
  const wanted = process.argv.slice(2).filter((word) => word !== "--soak")
  const { passed, failed } = await runTests(wanted, process.argv.includes("--soak"), (line) => {
    console.log(line)
  })
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1
}

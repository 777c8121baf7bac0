// `npm test`: everything that must hold before a change lands, in order. A step that fails does not stop the others, so
// one run shows all there is to mend. The last line is `N passed, N failed`: the tests, and each failed step as one
// more failure. `npm test -- --soak` also runs what takes minutes.

import { spawn, spawnSync } from "node:child_process"
import { dirname } from "node:path"
import { runTests } from "./test.ts"

const root = dirname(import.meta.dirname)
const bin = `${root}/node_modules/.bin`
// The programs of the lockfile first; those of the system's administrator, which some tests need, last.
process.env["PATH"] = `${bin}:${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`
/** Of a failed step, so that the others stay in view. */
const MOST_LINES = 60

interface Step {
  readonly name: string
  readonly command: readonly [string, ...string[]]
  /** Its output matters when it succeeds too. */
  readonly talks?: true
}

const node = `${bin}/node`
const steps: readonly Step[] = [
  { name: "build", command: ["tsc", "--build"] },
  { name: "types of the tests", command: ["tsc", "-p", "tsconfig.tests.json", "--noEmit"] },
  { name: "format", command: ["biome", "ci", "--colors=off", "."] },
  { name: "lint", command: ["eslint", "."] },
  { name: "dead code", command: ["knip", "--no-config-hints"] },
  { name: "licences", command: [node, "tools/licences.ts"] },
  { name: "npm audit", command: [node, "tools/audit.ts"], talks: true },
  { name: "programs the tests need", command: [node, "tools/prepare.ts"], talks: true },
]

function runStep(step: Step): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const [program, ...args] = step.command
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text
      })
    }
    child.on("error", reject)
    child.on("close", (code) => {
      resolve({ code: code ?? 1, output })
    })
  })
}

function say(line: string): void {
  console.log(line)
}

/** Whether the process runs under the node that the lockfile brings. */
function nodeIsOurs(): boolean {
  const ours = spawnSync(node, ["--version"], { encoding: "utf8" }).stdout.trim()
  return ours === process.version
}

let failedSteps = 0
if (!nodeIsOurs()) {
  say(`FAILED node: ${process.version} runs instead of node_modules/.bin/node; use "npm test"`)
  failedSteps++
}
for (const step of steps) {
  const started = performance.now()
  const { code, output } = await runStep(step)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  say(`${code === 0 ? "ok    " : "FAILED"} ${step.name}, ${seconds} s`)
  if (code !== 0) failedSteps++
  const lines = output.trimEnd().split("\n")
  if ((code !== 0 || step.talks === true) && output.trim() !== "") {
    say(lines.slice(0, MOST_LINES).join("\n"))
    if (lines.length > MOST_LINES) say(`… ${lines.length - MOST_LINES} more lines: ${step.command.join(" ")}`)
  }
}
const { passed, failed } = await runTests([], process.argv.includes("--soak"), say)
say(`${passed} passed, ${failed + failedSteps} failed`)
process.exitCode = failed + failedSteps === 0 && passed > 0 ? 0 : 1

// A drill, run by a test as a user who may do nothing special; says how it came out and what it left.

import { readdirSync } from "node:fs"
import { openScratch } from "../src/index.ts"
import { makeScene } from "./scene.ts"

const undo: (() => void | Promise<void>)[] = []
const scene = await makeScene({ after: (fn) => undo.push(fn) })
const scratch = await openScratch(scene.folder)
const { result, events } = await scene.drill({ scratch: scratch.folder })
await scratch[Symbol.asyncDispose]()
const differences = events.filter(({ event }) => event === "difference" || event === "trouble")
console.log(JSON.stringify({ outcome: result.outcome, differences, left: readdirSync(scene.folder) }))
for (const fn of undo) await fn()

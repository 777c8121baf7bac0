// Fails on purpose, for tests: a plan is asked before and after every call, and what it throws is what the caller gets.
// Thrown before, the call never happened; thrown after, it took effect and its answer was lost.

import type { Store } from "../ports.ts"
import { type Method, wrapped } from "./around.ts"

export interface Point {
  readonly when: "before" | "after"
  readonly method: Method
  /** Name or prefix; `""` for a probe. */
  readonly name: string
  /** Counts every point of the store from 0, so a test can enumerate them. */
  readonly number: number
}

export type Plan = (point: Point) => void | Promise<void>

export function faulty(inner: Store, plan: Plan): Store {
  let number = 0
  return wrapped(inner, {
    before: (method, name) => plan({ when: "before", method, name, number: number++ }),
    after: (method, name) => plan({ when: "after", method, name, number: number++ }),
    failed: () => undefined,
  })
}

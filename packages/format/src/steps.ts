// What takes time, told on a channel of Node's: whoever makes traces listens there, and it costs nothing when nobody does.
// What is told are names of steps, sources, runs and objects, and counts: never content, paths of it, or anything secret.

import { tracingChannel } from "node:diagnostics_channel"

export interface Step {
  /** Of few: what is done, not to what. */
  readonly name: string
  /** Grows until the step has ended. */
  readonly attributes: Record<string, string | number>
}

export const steps = tracingChannel<unknown, Step>("backup-cloud:step")

/** Does `work`, which may say more of itself, as a step; steps within it belong to it. */
export async function step<T>(
  name: string,
  attributes: Step["attributes"],
  work: (more: (attributes: Step["attributes"]) => void) => Promise<T>,
): Promise<T> {
  const told = { name, attributes: { ...attributes } }
  return await steps.tracePromise(
    () =>
      work((more) => {
        Object.assign(told.attributes, more)
      }),
    told,
  )
}

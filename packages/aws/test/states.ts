// Runs a state machine of the Amazon States Language with the query language JSONata, as far as this project's use it. No
// state waits: how long one would have waited is noted. What it does is checked against examples of the language's
// specification and of AWS's documentation (states.test.ts); anything it does not know throws.

import jsonata from "jsonata"

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
type Fields = Readonly<Record<string, Json>>

interface Retrier {
  readonly ErrorEquals: readonly string[]
  readonly IntervalSeconds?: number
  readonly BackoffRate?: number
  readonly MaxAttempts?: number
  readonly MaxDelaySeconds?: number
}

interface State {
  readonly Type: string
  readonly Next?: string
  readonly Default?: string
  readonly Resource?: string
  readonly Choices?: readonly { readonly Condition: string; readonly Next: string; readonly Assign?: Fields }[]
  readonly Retry?: readonly Retrier[]
  readonly Catch?: readonly {
    readonly ErrorEquals: readonly string[]
    readonly Next: string
    readonly Assign?: Fields
  }[]
  readonly ItemProcessor?: Machine & { readonly ProcessorConfig?: { readonly Mode?: string } }
  readonly Items?: Json
  readonly ItemSelector?: Json
  readonly ToleratedFailurePercentage?: number
  readonly Arguments?: Json
  readonly Assign?: Fields
  readonly Output?: Json
  readonly Error?: string
  readonly Cause?: string
  readonly [more: string]: unknown
}

export interface Machine {
  readonly StartAt: string
  readonly States: Readonly<Record<string, State>>
  readonly [more: string]: unknown
}

/** What an execution, or a state of it, ends with. */
export class StatesError extends Error {
  override readonly name: string
  constructor(name: string, cause = "") {
    super(cause)
    this.name = name
  }
}

export interface Surroundings {
  /** Does what a task asks for. A `StatesError` is what the task failed with. */
  readonly task: (resource: string, args: Json) => Promise<Json> | Json
  readonly context?: Fields
  /** Gets each time that a state would have waited, in seconds. */
  readonly waited?: (seconds: number) => void
}

/** Of what goes in or out of a state. */
const MOST_BYTES = 256 * 1024

type Scope = Map<string, Json>

/** @returns the output of the execution */
export function execute(machine: Machine, input: Json, surroundings: Surroundings): Promise<Json> {
  return run(machine, input, new Map(), surroundings)
}

async function run(machine: Machine, input: Json, scope: Scope, around: Surroundings): Promise<Json> {
  let name = machine.StartAt
  let value = input
  for (;;) {
    const state = machine.States[name]
    if (state === undefined) throw new Error(`there is no state ${name}`)
    const done = await step(state, value, scope, around)
    value = done.output
    if (done.next === undefined) return value
    name = done.next
  }
}

interface Done {
  readonly output: Json
  readonly next: string | undefined
}

async function step(state: State, input: Json, scope: Scope, around: Surroundings): Promise<Done> {
  const evaluate = (what: Json, more: Fields): Promise<Json> =>
    resolved(what, scope, { input, context: around.context ?? {}, ...more })
  /** Variables change when the state is done: all expressions see what was before. */
  const finish = async (from: Pick<State, "Assign" | "Output">, more: Fields, plain: Json, next?: string) => {
    const assigned = from.Assign === undefined ? {} : ((await evaluate(from.Assign, more)) as Fields)
    const output = from.Output === undefined ? plain : await evaluate(from.Output, more)
    for (const passed of [output, ...Object.values(assigned)])
      if (Buffer.byteLength(JSON.stringify(passed)) > MOST_BYTES) throw new StatesError("States.DataLimitExceeded")
    for (const [variable, value] of Object.entries(assigned)) scope.set(variable, value)
    return { output, next }
  }
  switch (state.Type) {
    case "Pass":
      return await finish(state, {}, input, state.Next)
    case "Succeed":
      return await finish(state, {}, input)
    case "Fail":
      throw new StatesError(
        (await evaluate(state.Error ?? "", {})) as string,
        (await evaluate(state.Cause ?? "", {})) as string,
      )
    case "Choice":
      for (const choice of state.Choices ?? []) {
        const holds = await evaluate(choice.Condition, {})
        if (typeof holds !== "boolean") throw new StatesError("States.QueryEvaluationError", choice.Condition)
        if (holds) return await finish({ ...choice }, {}, input, choice.Next)
      }
      if (state.Default === undefined) throw new StatesError("States.NoChoiceMatched")
      return await finish(state, {}, input, state.Default)
    case "Task":
    case "Map": {
      const ask = (): Promise<Json> =>
        state.Type === "Map" ? mapped(state, evaluate, scope, around) : worked(state, evaluate, around)
      try {
        const result = await retried(state.Retry ?? [], ask, around)
        return await finish(state, { result }, result, state.Next)
      } catch (error) {
        if (!(error instanceof StatesError)) throw error
        const caught = state.Catch?.find(({ ErrorEquals }) => matches(ErrorEquals, error))
        if (caught === undefined) throw error
        const errorOutput: Json = { Error: error.name, Cause: error.message }
        return await finish({ ...caught }, { errorOutput }, errorOutput, caught.Next)
      }
    }
    default:
      throw new Error(`the test knows no ${state.Type}`)
  }
}

type Evaluate = (what: Json, more: Fields) => Promise<Json>

async function worked(state: State, evaluate: Evaluate, around: Surroundings): Promise<Json> {
  const args = await evaluate(state.Arguments ?? {}, {})
  if (Buffer.byteLength(JSON.stringify(args)) > MOST_BYTES) throw new StatesError("States.DataLimitExceeded")
  return await around.task(state.Resource ?? "", args)
}

async function mapped(state: State, evaluate: Evaluate, scope: Scope, around: Surroundings): Promise<Json> {
  const { ItemProcessor: processor, ItemSelector: selector } = state
  const items = await evaluate(state.Items ?? [], {})
  if (processor === undefined || !Array.isArray(items)) throw new StatesError("States.QueryEvaluationError", "Items")
  const distributed = processor.ProcessorConfig?.Mode === "DISTRIBUTED"
  const results: Json[] = []
  let failed = 0
  for (const [Index, Value] of (items as readonly Json[]).entries()) {
    const context = { ...around.context, Map: { Item: { Index, Value } } }
    const input = selector === undefined ? Value : await evaluate(selector, { context })
    try {
      // A child of a distributed map knows nothing of its parent's variables; another one reads them.
      results.push(await run(processor, input, new Map(distributed ? [] : scope), { ...around, context }))
    } catch (error) {
      if (!(error instanceof StatesError)) throw error
      failed++
      if ((failed / items.length) * 100 > (state.ToleratedFailurePercentage ?? 0))
        throw distributed ? new StatesError("States.ExceedToleratedFailureThreshold", error.name) : error
    }
  }
  return results
}

/** Of a reserved name, `States.ALL` is any, and `States.TaskFailed` any but a timeout. */
function matches(names: readonly string[], error: StatesError): boolean {
  return (
    names.includes(error.name) ||
    names.includes("States.ALL") ||
    (names.includes("States.TaskFailed") && error.name !== "States.Timeout")
  )
}

async function retried(retriers: readonly Retrier[], ask: () => Promise<Json>, around: Surroundings): Promise<Json> {
  const used = new Map<Retrier, number>()
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof StatesError)) throw error
      const retrier = retriers.find(({ ErrorEquals }) => matches(ErrorEquals, error))
      const before = retrier === undefined ? 0 : (used.get(retrier) ?? 0)
      if (retrier === undefined || before >= (retrier.MaxAttempts ?? 3)) throw error
      used.set(retrier, before + 1)
      const wait = (retrier.IntervalSeconds ?? 1) * (retrier.BackoffRate ?? 2) ** before
      around.waited?.(Math.min(wait, retrier.MaxDelaySeconds ?? Number.POSITIVE_INFINITY))
    }
  }
}

const expressions = new Map<string, jsonata.Expression>()

/** A copy with every string `{% … %}` replaced by what it comes to. What comes to nothing is an error, as for AWS. */
async function resolved(what: Json, scope: Scope, states: Fields): Promise<Json> {
  if (Array.isArray(what))
    return await Promise.all((what as readonly Json[]).map((each) => resolved(each, scope, states)))
  if (typeof what === "object" && what !== null) {
    const members = Object.entries(what).map(
      async ([name, each]) => [name, await resolved(each, scope, states)] as const,
    )
    return Object.fromEntries(await Promise.all(members))
  }
  const [, text] = typeof what === "string" ? (/^\{%\s*(.*?)\s*%\}$/s.exec(what) ?? []) : []
  if (text === undefined) return what
  const compiled = expressions.get(text) ?? jsonata(text)
  expressions.set(text, compiled)
  const result: unknown = await compiled
    .evaluate(undefined, { ...Object.fromEntries(scope), states })
    .catch((error: unknown) => {
      throw new StatesError("States.QueryEvaluationError", `${text}: ${JSON.stringify(error)}`)
    })
  if (result === undefined) throw new StatesError("States.QueryEvaluationError", `${text} comes to nothing`)
  // What JSONata adds to its arrays is no part of the value.
  return JSON.parse(JSON.stringify(result)) as Json
}

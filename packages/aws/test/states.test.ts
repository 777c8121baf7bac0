// The small interpreter of state machines does what the language's specification and AWS's documentation say of it.

import assert from "node:assert/strict"
import { test } from "node:test"
import { execute, type Json, type Machine, StatesError } from "./states.ts"

const no = (): Json => assert.fail("no task was asked for")

test("specification, Retry: each retrier counts for itself, and the first that matches speaks", async () => {
  // Fails with ErrorA, ErrorB, ErrorC, ErrorB: waits of 1, 2 and 5 seconds, then the first retrier has none left.
  const machine: Machine = {
    StartAt: "X",
    States: {
      X: {
        Type: "Task",
        Resource: "a",
        Next: "Y",
        Retry: [
          { ErrorEquals: ["ErrorA", "ErrorB"], IntervalSeconds: 1, BackoffRate: 2, MaxAttempts: 2 },
          { ErrorEquals: ["ErrorC"], IntervalSeconds: 5 },
        ],
        Catch: [{ ErrorEquals: ["States.ALL"], Next: "Z" }],
      },
      Y: { Type: "Pass", End: true },
      Z: { Type: "Pass", Output: "{% $states.input.Error %}", End: true },
    },
  }
  const errors = ["ErrorA", "ErrorB", "ErrorC", "ErrorB"]
  const waits: number[] = []
  const task = (): Json => {
    const error = errors.shift()
    if (error !== undefined) throw new StatesError(error)
    return "fine"
  }
  assert.equal(await execute(machine, {}, { task, waited: (seconds) => waits.push(seconds) }), "ErrorB")
  assert.deepEqual(waits, [1, 2, 5])
  errors.push("ErrorA", "ErrorC")
  assert.equal(await execute(machine, {}, { task }), "fine")
})

test("documentation, variables: all of Assign sees the values from before the state", async () => {
  const machine: Machine = {
    StartAt: "First",
    States: {
      First: { Type: "Pass", Assign: { x: 3, a: 6 }, Next: "Swap" },
      Swap: { Type: "Pass", Assign: { x: "{% $a %}", nextX: "{% $x %}" }, Output: "{% $x %}", Next: "Show" },
      Show: { Type: "Pass", Output: { input: "{% $states.input %}", x: "{% $x %}", nextX: "{% $nextX %}" }, End: true },
    },
  }
  assert.deepEqual(await execute(machine, {}, { task: no }), { input: 3, x: 6, nextX: 3 })
})

test("documentation, variables: a child of an inline map reads its parent's, one of a distributed map does not", async () => {
  const machine = (Mode: string): Machine => ({
    StartAt: "Set",
    States: {
      Set: { Type: "Pass", Assign: { x: 1 }, Next: "Each" },
      Each: {
        Type: "Map",
        Items: [10, 20],
        ItemProcessor: {
          ProcessorConfig: { Mode },
          StartAt: "Add",
          States: { Add: { Type: "Pass", Output: "{% $states.input + $x %}", End: true } },
        },
        End: true,
      },
    },
  })
  assert.deepEqual(await execute(machine("INLINE"), {}, { task: no }), [11, 21])
  await assert.rejects(execute(machine("DISTRIBUTED"), {}, { task: no }), {
    name: "States.ExceedToleratedFailureThreshold",
  })
})

test("documentation, transforming data: strings between {% and %} are expressions, others are not", async () => {
  const machine: Machine = {
    StartAt: "Ask",
    States: {
      Ask: {
        Type: "Task",
        Resource: "a",
        Arguments: { static: "Hello", title: "{% $states.input.title %}", "not-evaluated": "$customerName" },
        Output: "{% $states.result %}",
        End: true,
      },
    },
  }
  const task = (_: string, args: Json): Json => args
  assert.deepEqual(await execute(machine, { title: "Numbers" }, { task }), {
    ...{ static: "Hello", title: "Numbers", "not-evaluated": "$customerName" },
  })
  await assert.rejects(execute(machine, {}, { task }), { name: "States.QueryEvaluationError" })
})

test("specification, Choice: the first whose condition holds, or Default, or an error", async () => {
  const machine = (Default: { Default?: string }): Machine => ({
    StartAt: "Which",
    States: {
      Which: {
        Type: "Choice",
        Choices: [
          { Condition: "{% $states.input.n > 9 %}", Next: "Large" },
          { Condition: "{% $states.input.n > 0 %}", Next: "Small" },
        ],
        ...Default,
      },
      Large: { Type: "Pass", Output: "large", End: true },
      Small: { Type: "Pass", Output: "small", End: true },
      None: { Type: "Fail", Error: "None", Cause: "nothing" },
    },
  })
  assert.equal(await execute(machine({}), { n: 10 }, { task: no }), "large")
  assert.equal(await execute(machine({}), { n: 1 }, { task: no }), "small")
  await assert.rejects(execute(machine({}), { n: 0 }, { task: no }), { name: "States.NoChoiceMatched" })
  await assert.rejects(execute(machine({ Default: "None" }), { n: 0 }, { task: no }), { name: "None" })
})

test("documentation, quotas: what goes into or out of a state has at most 256 KiB", async () => {
  const machine: Machine = {
    StartAt: "X",
    States: { X: { Type: "Pass", Output: "{% $states.input.x & 'y' %}", End: true } },
  }
  const most = "x".repeat(256 * 1024 - 3)
  assert.equal(await execute(machine, { x: most }, { task: no }), `${most}y`)
  await assert.rejects(execute(machine, { x: `${most}x` }, { task: no }), { name: "States.DataLimitExceeded" })
})

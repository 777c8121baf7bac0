// The state machine over the shards of a bucket: it is one for the validator of the language, and it does, with workers
// that reply and fail as the documents say, what the page promises: each shard once at a time, again where it broke off,
// the others whatever becomes of one, and a summary that fails where a shard did.

import assert from "node:assert/strict"
import { mock, test } from "node:test"
import validate from "asl-validator"
import { handler, type SummaryEvent } from "../../handlers/src/summary.ts"
import { resolve, template } from "./resolve.ts"
import { execute, type Json, type Machine, StatesError } from "./states.ts"

const given = { Source: "uploads", CodeBucket: "code", CodeKey: "summary.zip", Shards: "3", Concurrency: "2" }
const network = { Subnets: "subnet-1,subnet-2", SecurityGroups: "sg-1" }

function machine(worker: "lambda" | "fargate", more: Readonly<Record<string, string>> = {}): Machine {
  const { Map: map } = resolve(template("map"), { ...given, ...network, Worker: worker, ...more })
  return JSON.parse(map?.Properties["DefinitionString"] as string) as Machine
}

const LAMBDA = "arn:aws:states:::lambda:invoke"
const RUN_TASK = "arn:aws:states:::ecs:runTask.sync"
const started = "2026-11-23T22:15:00.000Z"

interface Asked {
  readonly FunctionName: string
  readonly Payload: { readonly source: string; readonly continuation?: number }
}
interface Ran {
  readonly TaskDefinition: string
  readonly Cluster: string
  readonly LaunchType: string
  readonly NetworkConfiguration: Json
  readonly Overrides: { readonly ContainerOverrides: readonly [{ readonly Name: string; readonly Command: string[] }] }
}

/** Runs the machine with a worker; the summary is the real one. @returns its output and what was waited */
async function backUp(of: Machine, worker: (args: Asked & Ran, count: number) => Json, input: Json = {}) {
  const asked: (Asked & Ran)[] = []
  const waits: number[] = []
  const log = mock.method(console, "log", () => undefined)
  try {
    const run = execute(of, input, {
      context: { Execution: { StartTime: started } },
      waited: (seconds) => waits.push(seconds),
      task: async (resource, args) => {
        const wanted = args as unknown as Asked & Ran
        if (resource === LAMBDA && wanted.FunctionName === SUMMARY) {
          const Payload = await handler(wanted.Payload as unknown as SummaryEvent).catch((error: unknown) => {
            assert.ok(error instanceof Error)
            throw new StatesError(error.name, JSON.stringify({ errorType: error.name, errorMessage: error.message }))
          })
          return { Payload: JSON.parse(JSON.stringify(Payload)) as Json, StatusCode: 200 }
        }
        assert.equal(resource, "TaskDefinition" in wanted ? RUN_TASK : LAMBDA)
        asked.push(wanted)
        return worker(wanted, asked.length)
      },
    })
    const output = await run.then(
      (value) => value as Readonly<Record<string, Json>>,
      (error: unknown) => error as StatesError,
    )
    return { output, asked, waits }
  } finally {
    log.mock.restore()
  }
}

const SUMMARY = "arn:aws:lambda:eu-central-1:111122223333:function:Summary"

const reply = (source: string, outcome = "complete", continuation = 0): Json => ({
  StatusCode: 200,
  Payload: {
    ...{ source, run: "20261123T221500Z-4f1c9a02", outcome, continuation },
    ...{ files: 3, bytes: 100, stored: 10, errors: 0 },
  },
})

test("the definitions are valid in the language, and a broken one is not", () => {
  for (const worker of ["lambda", "fargate"] as const) {
    const definition = machine(worker)
    const { isValid, errorsText } = validate(definition)
    assert.ok(isValid, errorsText())
    assert.equal(validate({ ...definition, StartAt: "Nowhere" }).isValid, false)
    const { EachShard } = definition.States
    assert.equal(EachShard?.ItemProcessor?.ProcessorConfig?.Mode, "DISTRIBUTED")
    assert.equal(EachShard["MaxConcurrency"], "{% 2 %}")
    assert.equal(EachShard.ToleratedFailurePercentage, 100)
  }
})

test("every shard is backed up by the function of its name, and the summary adds up what they said", async () => {
  const { output, asked, waits } = await backUp(machine("lambda"), ({ Payload }) => reply(Payload.source))
  assert.deepEqual(
    asked.map(({ FunctionName, Payload }) => [FunctionName, Payload]),
    ["uploads-00", "uploads-01", "uploads-02"].map((source) => [`backup-cloud-${source}`, { source, continuation: 0 }]),
  )
  assert.deepEqual(waits, [])
  assert.deepEqual(output, {
    ...{ source: "uploads", outcome: "complete", shards: 3, complete: 3, partial: 0, failed: 0 },
    ...{ files: 9, bytes: 300, stored: 30, errors: 0, incomplete: [] },
  })
})

test("shards are named as the command names them", async () => {
  for (const [Shards, first, last] of [
    ["2", "uploads-00", "uploads-01"],
    ["100", "uploads-00", "uploads-99"],
    ["101", "uploads-000", "uploads-100"],
    ["1000", "uploads-000", "uploads-999"],
  ] as const) {
    const { asked } = await backUp(machine("lambda", { Shards }), ({ Payload }) => reply(Payload.source))
    assert.equal(asked.length, Number(Shards))
    assert.deepEqual([asked[0]?.Payload.source, asked.at(-1)?.Payload.source], [first, last])
  }
})

test("the input can name the shards, for those that are to be done again", async () => {
  for (const shards of [["uploads-01"], ["uploads-00", "uploads-02"]]) {
    const { asked, output } = await backUp(machine("lambda"), ({ Payload }) => reply(Payload.source), { shards })
    assert.deepEqual(
      asked.map(({ Payload }) => Payload.source),
      shards,
    )
    assert.deepEqual([(output as { shards: number }).shards, (output as { failed: number }).failed], [shards.length, 0])
  }
})

test("a function that says `continues` is called again and told how often it was, until it is done or lost", async () => {
  const { asked, output } = await backUp(
    machine("lambda", { Shards: "2" }),
    ({ Payload: { source, continuation = 0 } }) =>
      reply(source, source === "uploads-01" && continuation < 4 ? "continues" : "complete", continuation),
  )
  assert.deepEqual(
    asked.map(({ Payload: { source, continuation } }) => [source, continuation]),
    [["uploads-00", 0], ...[0, 1, 2, 3, 4].map((continuation) => ["uploads-01", continuation])],
  )
  assert.equal((output as { outcome: string }).outcome, "complete")
  const endless = await backUp(machine("lambda", { Shards: "2" }), ({ Payload: { source } }) =>
    reply(source, source === "uploads-01" ? "continues" : "complete"),
  )
  assert.equal(endless.asked.length, 481)
  assert.ok(endless.output instanceof StatesError)
  assert.match(endless.output.message, /1 of 2 shards of uploads were not backed up: uploads-01/)
})

test("a shard that fails is tried again with longer and longer waits, then noted; the others are backed up", async () => {
  const { output, asked, waits } = await backUp(machine("lambda"), ({ Payload }) => {
    if (Payload.source !== "uploads-01") return reply(Payload.source)
    throw new StatesError("BackupError", JSON.stringify({ errorMessage: "x".repeat(5000) }))
  })
  assert.deepEqual(waits, [60, 240, 960])
  assert.deepEqual(
    asked.map(({ Payload }) => Payload.source),
    ["uploads-00", "uploads-01", "uploads-01", "uploads-01", "uploads-01", "uploads-02"],
  )
  assert.ok(output instanceof StatesError)
  assert.match(output.message, /1 of 3 shards of uploads were not backed up: uploads-01 \(BackupError\)/)
})

test("a service that is busy is asked more often, and one failure in between loses nothing", async () => {
  const { output, waits } = await backUp(machine("lambda", { Shards: "2" }), ({ Payload }, count) => {
    if (count <= 5) throw new StatesError("Lambda.TooManyRequestsException")
    if (count === 6) throw new StatesError("States.Timeout")
    return reply(Payload.source)
  })
  assert.equal((output as { outcome: string }).outcome, "complete")
  assert.deepEqual(waits, [5, 10, 20, 40, 80, 60])
})

test("a shard whose reply is none has no result, and is never complete", async () => {
  const { output } = await backUp(machine("lambda"), ({ Payload }) =>
    Payload.source === "uploads-02" ? { StatusCode: 200, Payload: null } : reply(Payload.source),
  )
  assert.ok(output instanceof StatesError)
  assert.match(output.message, /1 of 3 shards of uploads were not backed up: uploads-02 \(no result\)/)
})

/** What ECS tells Step Functions of a task whose container ended so. */
const exited = (ExitCode: number): StatesError =>
  new StatesError(
    "States.TaskFailed",
    JSON.stringify({
      Containers: [{ ExitCode, LastStatus: "STOPPED", Name: "backup-cloud" }],
      StopCode: "EssentialContainerExited",
    }),
  )

test("a task of Fargate for each shard: where, what, and partial by its exit code", async () => {
  const { output, asked, waits } = await backUp(machine("fargate"), ({ Overrides }) => {
    if (Overrides.ContainerOverrides[0].Command[1] === "uploads-01") throw exited(30)
    return { StopCode: "EssentialContainerExited", Containers: [{ ExitCode: 0 }] }
  })
  const [first] = asked
  assert.deepEqual(
    [first?.TaskDefinition, first?.Cluster, first?.LaunchType, first?.NetworkConfiguration],
    [
      ...["backup-cloud-uploads-00", "default", "FARGATE"],
      {
        AwsvpcConfiguration: {
          ...{ Subnets: ["subnet-1", "subnet-2"], SecurityGroups: ["sg-1"], AssignPublicIp: "DISABLED" },
        },
      },
    ],
  )
  assert.deepEqual(first?.Overrides.ContainerOverrides, [{ Name: "backup-cloud", Command: ["backup", "uploads-00"] }])
  assert.deepEqual(waits, [60, 240, 960])
  const { outcome, partial, incomplete } = output as Record<string, Json>
  assert.deepEqual([outcome, partial, incomplete], ["partial", 1, ["uploads-01"]])
})

test("a task of Fargate that ends badly, or is stopped at its time, fails its shard and no other", async () => {
  for (const error of [exited(31), exited(130), exited(1), new StatesError("States.Timeout")]) {
    const { output } = await backUp(machine("fargate"), ({ TaskDefinition }) => {
      if (TaskDefinition === "backup-cloud-uploads-00") throw error
      return {}
    })
    assert.ok(output instanceof StatesError)
    assert.match(output.message, /1 of 3 shards .* uploads-00 \(States\.T/)
  }
})

test("what 1,000 shards with names as long as they get say fits into one state", async () => {
  const { Parameters } = JSON.parse(template("map")) as { Parameters: Record<string, { MaxLength: number }> }
  const Source = "s".repeat(Parameters["Source"]?.MaxLength ?? assert.fail())
  const large = { files: 9_999_999, bytes: 99_999_999_999_999, stored: 99_999_999_999_999, errors: 999_999 }
  const { output } = await backUp(machine("lambda", { Shards: "1000", Source }), ({ Payload: { source } }) => ({
    Payload: { source, run: "20261123T221500Z-4f1c9a02", outcome: "complete", continuation: 0, ...large },
  }))
  assert.equal((output as { complete: number }).complete, 1000)
  const failed = await backUp(machine("lambda", { Shards: "1000", Source }), () => {
    throw new StatesError("BackupError", "x".repeat(5000))
  })
  assert.ok(failed.output instanceof StatesError)
  assert.match(failed.output.message, /1000 of 1000 shards/)
})

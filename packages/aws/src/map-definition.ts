// The state machine that backs up the shards of a large bucket, each as a source of its own, in the language of Step
// Functions (states.amazonaws.com, query language JSONata). A distributed map starts one worker for each shard; one that
// fails is tried again, then noted, and ends none of the others. At the end one function says what all of them came to.
//
// `${Name}` stands for a parameter or resource of the template, and a star in a name for the name of the shard. A child of
// a distributed map sees no variables of its parent, so all it needs is in its input or in the text itself.

/** A worker that says `continues` more often than this has lost its way: 5 days of 15 minutes. */
const MOST_INVOCATIONS = 480

const expression = (text: string): string => `{% ${text} %}`

const BUSY = {
  ErrorEquals: [
    ...["Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException"],
    "Lambda.TooManyRequestsException",
  ],
  ...{ IntervalSeconds: 5, BackoffRate: 2, MaxAttempts: 8, MaxDelaySeconds: 300, JitterStrategy: "FULL" },
}
/** What a run stored before it failed is there for the next try. */
const AGAIN = {
  ErrorEquals: ["States.ALL"],
  ...{ IntervalSeconds: 60, BackoffRate: 4, MaxAttempts: 3, MaxDelaySeconds: 1800, JitterStrategy: "FULL" },
}
const NOTE = [
  { ErrorEquals: ["States.ALL"], Next: "Failed", Assign: { error: expression("$states.errorOutput") } },
] as const

const named = (parameter: string): string => expression(`$replace('\${${parameter}}', '*', $source)`)

/** A function that replies as `backup` does, and is called again for as long as it says `continues`. */
const lambda = {
  Begin: {
    Type: "Pass",
    Assign: { source: expression("$states.input.source"), continuation: 0 },
    Next: "Backup",
  },
  Backup: {
    Type: "Task",
    Resource: "arn:${AWS::Partition}:states:::lambda:invoke",
    Arguments: {
      FunctionName: named("Function"),
      Payload: { source: expression("$source"), continuation: expression("$continuation") },
    },
    // A function ends after 15 minutes; what lasts longer never started.
    TimeoutSeconds: 1000,
    Retry: [BUSY, AGAIN],
    Catch: NOTE,
    Assign: {
      reply: expression("$states.result.Payload"),
      continuation: expression("$continuation + 1"),
    },
    Next: "Ended",
  },
  Ended: {
    Type: "Choice",
    Choices: [
      {
        Condition: expression(`$reply.outcome = 'continues' and $continuation < ${MOST_INVOCATIONS}`),
        Next: "Backup",
      },
    ],
    Default: "Result",
  },
  // Of 1,000 shards all results pass through one state, which takes 256 KiB: no more than the summary adds up.
  Result: {
    Type: "Pass",
    Output: expression(
      "$merge([{'source': $source}, " +
        "$sift($reply, function($v, $k) {$k in ['outcome', 'files', 'bytes', 'stored', 'errors']})])",
    ),
    End: true,
  },
  Failed: {
    Type: "Pass",
    Output: {
      source: expression("$source"),
      outcome: "failed",
      error: expression("$error.Error"),
    },
    End: true,
  },
}

/** A task of Fargate, which has as long as it needs. It tells how it ended by its exit code and nothing else. Metrics of each shard would cost more than the tasks. */
const fargate = {
  Begin: { Type: "Pass", Assign: { source: expression("$states.input.source") }, Next: "Backup" },
  Backup: {
    Type: "Task",
    Resource: "arn:${AWS::Partition}:states:::ecs:runTask.sync",
    Arguments: {
      LaunchType: "FARGATE",
      Cluster: "${Cluster}",
      TaskDefinition: named("TaskDefinition"),
      PropagateTags: "TASK_DEFINITION",
      NetworkConfiguration: {
        AwsvpcConfiguration: {
          Subnets: expression("$split('${Subnets}', ',')"),
          SecurityGroups: expression("$split('${SecurityGroups}', ',')"),
          AssignPublicIp: "${PublicIp}",
        },
      },
      Overrides: {
        ContainerOverrides: [{ Name: "${ContainerName}", Command: ["backup", expression("$source")] }],
      },
    },
    // Step Functions then stops the task: it gets SIGTERM, commits what it has, and the next try goes on from there.
    TimeoutSeconds: expression("${TaskHours} * 3600"),
    Retry: [AGAIN],
    Catch: NOTE,
    Output: { source: expression("$source"), outcome: "complete" },
    End: true,
  },
  Failed: {
    Type: "Pass",
    Output: {
      source: expression("$source"),
      // Exit code 30: what could be read is stored, not all could be.
      outcome: expression("$contains($error.Cause, /\"ExitCode\": *30\\b/) ? 'partial' : 'failed'"),
      error: expression("$error.Error"),
    },
    End: true,
  },
}

/** As `source add --shards` names them: `uploads-00`, or those that the execution's input lists. */
const SHARDS =
  "$exists($states.input.shards) ? [$states.input.shards] : " +
  "[0..${Shards} - 1].('${Source}-' & $pad($string(), -$max([2, $length($string(${Shards} - 1))]), '0'))"

const shown = { lambda, fargate }

/** The definition, as text of JSON with `${Name}` in it. */
export function mapDefinition(worker: keyof typeof shown): string {
  const definition = {
    Comment: "A backup of the shards of one bucket, each a source of its own",
    QueryLanguage: "JSONata",
    StartAt: "Shards",
    States: {
      Shards: { Type: "Pass", Assign: { shards: expression(SHARDS) }, Next: "EachShard" },
      EachShard: {
        Type: "Map",
        Label: "EachShard",
        Items: expression("$shards"),
        ItemSelector: { source: expression("$states.context.Map.Item.Value") },
        MaxConcurrency: expression("${Concurrency}"),
        // A shard's failure is a result. What fails besides ends no other shard either, and has no result: the summary sees it.
        ToleratedFailurePercentage: 100,
        ItemProcessor: {
          ProcessorConfig: { Mode: "DISTRIBUTED", ExecutionType: "STANDARD" },
          StartAt: "Begin",
          States: shown[worker],
        },
        Assign: { results: expression("[$states.result[$exists(outcome)]]") },
        Next: "Summary",
      },
      Summary: {
        Type: "Task",
        Resource: "arn:${AWS::Partition}:states:::lambda:invoke",
        Arguments: {
          FunctionName: "${Summary.Arn}",
          Payload: {
            source: "${Source}",
            shards: expression("$shards"),
            results: expression("$results"),
            started: expression("$states.context.Execution.StartTime"),
          },
        },
        TimeoutSeconds: 120,
        Retry: [BUSY],
        Output: expression("$states.result.Payload"),
        End: true,
      },
    },
  }
  return JSON.stringify(definition)
}

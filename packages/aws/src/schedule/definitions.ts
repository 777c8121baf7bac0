// The state machines that run a backup, in the language of Step Functions. An execution that succeeded is a run that is
// complete; whatever else comes of it, a partial run too, is an execution that failed.

import { Fn } from "aws-cdk-lib"

/** What a parameter of the template gives and stands in the text without quotes: a number, or items of a list. */
const bare = (name: string): string => `<bare ${name}>`

/** Waits and tries again: after 30 s, 1 min, 2 min and so on, each by chance shorter. */
const again = (MaxAttempts: number, ErrorEquals: readonly string[]): object => ({
  ErrorEquals,
  ...{ IntervalSeconds: 30, BackoffRate: 2, MaxAttempts, MaxDelaySeconds: 900, JitterStrategy: "FULL" },
})

/**
 * Calls the function again while its run goes on. What can go well the next time is tried again: a fault of the service, and
 * an archive or a source that did not answer; nothing else. Input: `{"source", "continuation"}`; output: the last reply.
 */
export const functionMachine = {
  Comment: "A backup by a function, called again for as long as its run goes on",
  StartAt: "Backup",
  TimeoutSeconds: bare("LimitSeconds"),
  States: {
    Backup: {
      Type: "Task",
      Resource: "arn:${AWS::Partition}:states:::lambda:invoke",
      Parameters: {
        FunctionName: "${BackupFunction.Arn}",
        Payload: { "source.$": "$.source", "continuation.$": "$.continuation" },
      },
      // Longer than a function can take.
      TimeoutSeconds: 960,
      ResultSelector: { "reply.$": "$.Payload" },
      ResultPath: "$.result",
      Retry: [
        again(6, [
          "Lambda.ServiceException",
          "Lambda.AWSLambdaException",
          "Lambda.SdkClientException",
          "Lambda.ClientExecutionTimeoutException",
          "Lambda.TooManyRequestsException",
        ]),
        again(2, ["unavailable", "Sandbox.Timedout"]),
      ],
      Next: "Outcome",
    },
    Outcome: {
      Type: "Choice",
      Choices: [
        { Variable: "$.result.reply.outcome", StringEquals: "complete", Next: "Complete" },
        {
          And: [
            { Variable: "$.result.reply.outcome", StringEquals: "continues" },
            { Variable: "$.continuation", NumericLessThan: bare("Continuations") },
          ],
          Next: "Continue",
        },
        { Variable: "$.result.reply.outcome", StringEquals: "continues", Next: "TooLong" },
      ],
      Default: "Incomplete",
    },
    Continue: {
      Type: "Pass",
      Parameters: { "source.$": "$.source", "continuation.$": "States.MathAdd($.continuation, 1)" },
      Next: "Backup",
    },
    Complete: { Type: "Succeed", OutputPath: "$.result.reply" },
    TooLong: {
      Type: "Fail",
      Error: "TooLong",
      Cause: "The run had not ended when it had gone on as often as it may. The next one uses what it stored",
    },
    Incomplete: {
      Type: "Fail",
      Error: "Incomplete",
      Cause: "The run is there, but not all of the source is in it: see the log of the function",
    },
  },
} as const

/** Runs one task, and stops it when its time is over. Input: `{"source"}`, which the task's definition says as well. */
export const taskMachine = {
  Comment: "A backup by a task",
  StartAt: "Backup",
  States: {
    Backup: {
      Type: "Task",
      Resource: "arn:${AWS::Partition}:states:::ecs:runTask.sync",
      TimeoutSeconds: bare("LimitSeconds"),
      Parameters: {
        Cluster: "${Cluster.Arn}",
        TaskDefinition: "${Task}",
        LaunchType: "FARGATE",
        NetworkConfiguration: {
          AwsvpcConfiguration: {
            Subnets: ["${Subnet}"],
            SecurityGroups: [bare("Groups")],
            AssignPublicIp: "DISABLED",
          },
        },
      },
      Retry: [again(6, ["ECS.AmazonECSException", "ECS.ServerException", "ECS.ThrottlingException"])],
      End: true,
    },
  },
} as const

/** The text of a machine, in which `Fn::Sub` puts what the template makes. @param more texts for names that are no logical ids */
export function definitionString(machine: object, more?: Readonly<Record<string, string>>): string {
  return Fn.sub(JSON.stringify(machine, null, 2).replaceAll(/"<bare (\w+)>"/g, "${$1}"), more)
}

// A state machine that runs one source, its role, and the right to start it.

import { CfnOutput, Validations } from "aws-cdk-lib"
import { CfnStateMachine } from "aws-cdk-lib/aws-stepfunctions"
import type { Construct } from "constructs"
import { sub } from "./parameters.ts"
import { type Right, serviceRole } from "./roles.ts"
import type { Scheduled } from "./scheduler.ts"

/** @param definition text @param rights what the machine may do @param why the reason for each pattern in them */
export function machine(scope: Construct, definition: string, rights: readonly Right[], why = ""): Scheduled {
  const role = serviceRole(
    scope,
    "MachineRole",
    {
      service: "states.amazonaws.com",
      sourceArn: "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:*",
      description: "With it a state machine runs one source of backup-cloud",
    },
    rights,
    why,
  )
  const made = new CfnStateMachine(scope, "Machine", {
    roleArn: role.attrArn,
    definitionString: definition,
  })
  const kept = "Step Functions keeps the history of each execution for 90 days, and what runs writes its own log"
  for (const id of ["AwsSolutions-SF1", "AwsSolutions-SF2"]) Validations.of(made).acknowledge({ id, reason: kept })
  new CfnOutput(scope, "MachineArn", { value: made.ref })
  return {
    target: made.ref,
    input: '{"source":"${Source}","continuation":0}',
    rights: [{ Sid: "Start", Action: ["states:StartExecution"], Resource: [sub("${Machine}")] }],
  }
}

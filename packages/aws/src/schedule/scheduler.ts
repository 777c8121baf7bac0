// When: a schedule of EventBridge Scheduler, in a group of its own, with a role that can start this one thing.

import { Fn } from "aws-cdk-lib"
import { CfnSchedule, CfnScheduleGroup } from "aws-cdk-lib/aws-scheduler"
import type { Construct } from "constructs"
import { type Right, serviceRole } from "./roles.ts"

export interface Scheduled {
  /** ARN of the target, or of the API call. */
  readonly target: string
  /** Text of the event: JSON, for `Fn::Sub`. */
  readonly input: string
  readonly rights: readonly Right[]
  /** Reason for each pattern in the rights. */
  readonly why?: string
}

/** What all schedules of this stack are in, so that their roles know whose they are. */
export function scheduleGroup(scope: Construct): CfnScheduleGroup {
  return new CfnScheduleGroup(scope, "Schedules", { name: Fn.ref("AWS::StackName") })
}

/** @param id beginning of the logical ids; `Schedule` and `Role` follow @param expression text, or a parameter's value */
export function scheduled(
  scope: Construct,
  id: string,
  group: CfnScheduleGroup,
  expression: string,
  { target, input, rights, why }: Scheduled,
): CfnSchedule {
  const role = serviceRole(
    scope,
    `${id}Role`,
    {
      service: "scheduler.amazonaws.com",
      sourceArn: "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/${AWS::StackName}",
      description: "With it EventBridge Scheduler starts one thing of backup-cloud",
    },
    rights,
    why,
  )
  return new CfnSchedule(scope, `${id}Schedule`, {
    groupName: group.ref,
    scheduleExpression: expression,
    scheduleExpressionTimezone: Fn.ref("TimeZone"),
    flexibleTimeWindow: { mode: "FLEXIBLE", maximumWindowInMinutes: 15 },
    target: {
      arn: target,
      roleArn: role.attrArn,
      input: Fn.sub(input),
      retryPolicy: { maximumEventAgeInSeconds: 3600, maximumRetryAttempts: 10 },
    },
  })
}

// The alarms of one source, or of all shards of one bucket together, by the metrics that a backup writes: the last run
// failed, none was complete for so many hours, a run has much less than the one before.

import { CfnOutput, CfnParameter, Fn, Stack, type StackProps } from "aws-cdk-lib"
import { CfnAlarm, type CfnAlarmProps } from "aws-cdk-lib/aws-cloudwatch"
import type { Construct } from "constructs"

/** Each is the default of a parameter of the template. */
export interface SourceAlarmStackProps extends StackProps {
  /** Name of the source, or the name that the shards have in common. */
  readonly source?: string
  /** The output of an `AlarmStack`, or any topic that lets CloudWatch publish. */
  readonly topicArn?: string
  /** Hours without a complete run that are too many, 26 unless given: a run each day, and two hours for it. */
  readonly hours?: number
}

/** CloudWatch looks back over 7 days at most. */
const MOST_HOURS = 168

export class SourceAlarmStack extends Stack {
  constructor(scope: Construct, id: string, props: SourceAlarmStackProps = {}) {
    super(scope, id, { description: "Alarms of one source of an archive of backup-cloud", ...props })
    new CfnParameter(this, "Source", {
      description: "Name of the source, or the name that the shards of a bucket have in common",
      ...(props.source === undefined ? {} : { default: props.source }),
      allowedPattern: "^[a-z0-9][a-z0-9-]{0,62}$",
    })
    new CfnParameter(this, "TopicArn", {
      description: "Topic that gets the alarms: the output TopicArn of the alarms' stack",
      ...(props.topicArn === undefined ? {} : { default: props.topicArn }),
      allowedPattern: "^arn:[a-z-]+:sns:.+$",
    })
    const hours = new CfnParameter(this, "Hours", {
      type: "Number",
      description: "Hours without a complete run after which there is an alarm: the interval, and what a run takes",
      default: props.hours ?? 26,
      minValue: 1,
      maxValue: MOST_HOURS,
    })
    const failed = this.#alarm("Failed", "a run failed; what earlier runs stored is kept", {
      ...{ metricName: "Failed", threshold: 1, comparisonOperator: "GreaterThanOrEqualToThreshold" },
      ...{ evaluationPeriods: 1, treatMissingData: "notBreaching" },
    })
    const missing = this.#alarm("Missing", "no run was complete for too long", {
      ...{ metricName: "Complete", threshold: 1, comparisonOperator: "LessThanThreshold" },
      // A source that does not run says nothing: that is the alarm.
      ...{ evaluationPeriods: hours.valueAsNumber, treatMissingData: "breaching" },
    })
    const shrank = this.#alarm("Shrank", "a run has fewer than half the bytes or files of the one before", {
      ...{ metricName: "Shrank", threshold: 1, comparisonOperator: "GreaterThanOrEqualToThreshold" },
      ...{ evaluationPeriods: 1, treatMissingData: "notBreaching" },
    })
    const all = [failed, missing, shrank].map(({ ref }) => ref)
    new CfnOutput(this, "AlarmNames", { value: Fn.join(",", all) })
  }

  #alarm(
    id: string,
    says: string,
    how: Pick<
      CfnAlarmProps,
      "metricName" | "threshold" | "comparisonOperator" | "evaluationPeriods" | "treatMissingData"
    >,
  ): CfnAlarm {
    const topics = [Fn.ref("TopicArn")]
    return new CfnAlarm(this, id, {
      alarmName: Fn.sub(`backup-cloud \${Source}: ${id}`),
      alarmDescription: Fn.sub(`backup-cloud, source \${Source}: ${says}`),
      ...{ namespace: "BackupCloud", statistic: "Sum", period: 3600, ...how },
      dimensions: [{ name: "Source", value: Fn.ref("Source") }],
      ...{ alarmActions: topics, okActions: topics, actionsEnabled: true },
    })
  }
}

// What all three ways to run a backup by schedule ask for.

import { CfnParameter } from "aws-cdk-lib"
import type { Construct } from "constructs"
import { IDENTITIES, identitiesParameter } from "../parameters.ts"

/** Each is the default of a parameter of the template. */
export interface CommonProps {
  /** Name of the source in the archive; the parameter has no default unless it is given. */
  readonly source?: string
  /** Output `SourceRoleName` of the source's stack. */
  readonly sourceRole?: string
  /** As EventBridge Scheduler takes it: `cron(15 2 * * ? *)` unless given. */
  readonly schedule?: string
  readonly timeZone?: string
  /** URL of the archive, `ssm:/` unless given. */
  readonly archive?: string
  /** As in the source's stack. */
  readonly identities?: string
  /** After which a run is broken off. */
  readonly limitSeconds?: number
  readonly logDays?: number
}

/** Texts with the parameters' values, for `Fn::Sub`. */
export const ROLE = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/backup-cloud/${SourceRole}"
export const IDENTITY = `ssm:\${${IDENTITIES}}/\${Source}/`

export const sub = (text: string): { "Fn::Sub": string } => ({ "Fn::Sub": text })
export const ref = (id: string): { Ref: string } => ({ Ref: id })

/** Parameters Source, SourceRole, Schedule, TimeZone, Archive, Identities, LimitSeconds and LogDays. */
export function commonParameters(scope: Construct, props: CommonProps, limitSeconds: number): void {
  text(scope, "Source", "Name of the source in the archive", "^[a-z0-9][a-z0-9-]{0,62}$", props.source)
  text(
    scope,
    "SourceRole",
    "The output SourceRoleName of the source's stack, which must say of its RunsOn what this template is for",
    "^[A-Za-z0-9_+=,.@-]{1,64}$",
    props.sourceRole,
  )
  text(
    scope,
    "Schedule",
    "When it runs, as EventBridge Scheduler takes it; each run begins within a quarter of an hour after that",
    "^(cron|rate)\\([A-Za-z0-9 ,*?/#-]+\\)$",
    props.schedule ?? "cron(15 2 * * ? *)",
  )
  text(scope, "TimeZone", "Time zone of the schedule", "^[A-Za-z0-9_+/-]+$", props.timeZone ?? "UTC")
  text(scope, "Archive", "URL of the archive", "^(ssm|s3):[A-Za-z0-9._/-]+$", props.archive ?? "ssm:/")
  identitiesParameter(scope, props.identities)
  new CfnParameter(scope, "LimitSeconds", {
    type: "Number",
    description: "Seconds after which a run is broken off; what it stored until then is used by the next one",
    default: props.limitSeconds ?? limitSeconds,
    minValue: 600,
    maxValue: 604_800,
  })
  new CfnParameter(scope, "LogDays", {
    type: "Number",
    description: "Days for which logs are kept",
    default: String(props.logDays ?? 90),
    allowedValues: ["1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365", "400", "731"],
  })
}

/** A parameter that is a text. @param value without it the parameter has no default, and must be given */
export function text(scope: Construct, id: string, description: string, allowedPattern: string, value?: string): void {
  new CfnParameter(scope, id, { description, allowedPattern, ...(value === undefined ? {} : { default: value }) })
}

// The parameters that more than one template has. They are parameters also for those who use the CDK, so that what is
// tested is what is deployed, whichever way; the properties of a stack are their defaults.

import { CfnCondition, CfnParameter, Fn } from "aws-cdk-lib"
import type { Construct } from "constructs"

/** Logical ids. */
export const PATH = "Path"
export const BASE = "Base"
export const KMS_KEY = "KmsKeyArn"
export const USES_KMS = "UsesKms"
export const IDENTITIES = "Identities"
export const CHANGER = "ChangerRole"

/** As in the system that this one continues. */
export const DEFAULT_BASE = "/backup_cloud/base_defs"
export const DEFAULT_PATH = "backup-cloud"

/** Path of the archive in its bucket: no slash around it, and none of the letters that IAM gives a meaning of its own. */
export const PATH_PATTERN = "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"
const BASE_PATTERN = "^(/[A-Za-z0-9_.-]+)+$"

export function baseParameter(scope: Construct, value: string | undefined): CfnParameter {
  return new CfnParameter(scope, BASE, {
    description: "Where in Systems Manager the parameters s3_bucket and s3_path of the archive are",
    default: value ?? DEFAULT_BASE,
    allowedPattern: BASE_PATTERN,
    maxLength: 60,
  })
}

/** Where the identities of sources lie that keep their keys in Systems Manager, each below its name. */
export function identitiesParameter(scope: Construct, value?: string): CfnParameter {
  return new CfnParameter(scope, IDENTITIES, {
    description: "Path in Systems Manager below which, by its name, the identity of the source is, if it has one there",
    default: value ?? "/backup-cloud/identity",
    allowedPattern: BASE_PATTERN,
    maxLength: 60,
  })
}

/** @returns the condition that there is a key */
export function kmsParameter(scope: Construct, value: string | undefined): CfnCondition {
  const parameter = new CfnParameter(scope, KMS_KEY, {
    description:
      "Empty for SSE-S3. WARNING: with a KMS key, whoever disables or deletes that key makes every object unreadable, " +
      "locked ones too, and they stay so; the contents are sealed without it",
    default: value ?? "",
    allowedPattern: "^$|^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$",
  })
  return isGiven(scope, USES_KMS, parameter)
}

/** Who, besides CloudFormation with somebody's own credentials, may change the settings of a bucket. */
export function changerParameter(scope: Construct, value: string | undefined): CfnParameter {
  return new CfnParameter(scope, CHANGER, {
    description:
      "Name, with its path, of the role that CloudFormation takes to deploy, * for any letters. But for it, and for " +
      "CloudFormation that is called with somebody's own credentials, nobody changes the settings of the bucket",
    default: value ?? "cdk-*-cfn-exec-role-*",
    allowedPattern: "^[A-Za-z0-9+=,.@_/*-]*[A-Za-z0-9]{3}[A-Za-z0-9+=,.@_/*-]*$",
  })
}

export function lockParameter(scope: Construct, value: number | undefined): CfnParameter {
  return new CfnParameter(scope, "LockDays", {
    type: "Number",
    description:
      "Days for which nobody, not even the account's root, can delete an object: at least the archive's horizon, " +
      "grace and guaranteed retention together. It cannot be shortened for what is stored already",
    default: value ?? 277,
    minValue: 1,
    maxValue: 36_500,
  })
}

/** A condition that a parameter is not empty. */
export function isGiven(scope: Construct, id: string, parameter: CfnParameter): CfnCondition {
  return new CfnCondition(scope, id, {
    expression: Fn.conditionNot(Fn.conditionEquals(parameter.valueAsString, "")),
  })
}

// The code of the functions: a zip with a file for each handler, in a bucket that parameters name; with the CDK also a folder
// of bundles that it uploads.

import { CfnDeletionPolicy, Fn, Token } from "aws-cdk-lib"
import { CfnFunction } from "aws-cdk-lib/aws-lambda"
import { CfnLogGroup } from "aws-cdk-lib/aws-logs"
import { Asset } from "aws-cdk-lib/aws-s3-assets"
import type { Construct } from "constructs"
import { text } from "./parameters.ts"

export interface CodeProps {
  /** Bucket with a release of backup-cloud. */
  readonly codeBucket?: string
  /** Name there of the zip with the handlers. */
  readonly codeKey?: string
  /** Folder with the bundled handlers, which the CDK uploads in place of the two. */
  readonly bundle?: string
}

/** Name of an object with a release. */
export const KEY = "^[A-Za-z0-9._/-]+$"

/** The parameter CodeKey, for a stack with CodeBucket, unless there is a bundle. */
export function functionCode(scope: Construct, props: CodeProps): CfnFunction.CodeProperty {
  if (props.bundle !== undefined) {
    const { s3BucketName, s3ObjectKey } = new Asset(scope, "Bundle", { path: props.bundle })
    return { s3Bucket: s3BucketName, s3Key: s3ObjectKey }
  }
  text(
    scope,
    "CodeKey",
    "Name in CodeBucket of the zip with the functions; a new release has a new name, or its code is not taken",
    KEY,
    props.codeKey,
  )
  return { s3Bucket: Fn.ref("CodeBucket"), s3Key: Fn.ref("CodeKey") }
}

export function codeBucket(scope: Construct, value: string | undefined): void {
  text(scope, "CodeBucket", "Bucket with a release of backup-cloud", "^[a-z0-9.-]{3,63}$", value)
}

/** Logs for `LogDays`, also when the stack is gone; CloudFormation gives the name. */
export function logGroup(scope: Construct, id: string): CfnLogGroup {
  const logs = new CfnLogGroup(scope, id, { retentionInDays: Token.asNumber(Fn.ref("LogDays")) })
  logs.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN
  logs.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN
  return logs
}

interface Handler {
  /** Name of the handler's file. */
  readonly file: string
  readonly code: CfnFunction.CodeProperty
  /** ARN of the role. */
  readonly role: string
  readonly logs: CfnLogGroup
  /** MiB, or a token. */
  readonly memorySize: number
  /** Seconds. */
  readonly timeout: number
}

/** A function with one of the handlers. */
export function handlerFunction(
  scope: Construct,
  id: string,
  { file, code, role, logs, memorySize, timeout }: Handler,
): CfnFunction {
  return new CfnFunction(scope, id, {
    runtime: "nodejs24.x",
    architectures: ["arm64"],
    handler: `${file}.handler`,
    code,
    role,
    memorySize,
    timeout,
    loggingConfig: { logGroup: logs.ref },
  })
}

// What a server is told when it is launched: the script user-data.sh, after the names that it needs.

import { readFileSync } from "node:fs"
import { Fn } from "aws-cdk-lib"
import { IDENTITY } from "./parameters.ts"

// Compiled, this module lies elsewhere; the script does not.
const script = readFileSync(new URL("../../src/schedule/user-data.sh", import.meta.url), "utf8")

/** As a launch template takes it. The parameters' patterns allow no quotes. */
export function userData(): string {
  const names: readonly (readonly [string, string])[] = [
    ["source", "${Source}"],
    ["archive", "${Archive}"],
    ["identity", IDENTITY],
    ["region", "${AWS::Region}"],
    ["log", "${Logs}"],
    ["release", "s3://${CodeBucket}/${ReleaseKey}"],
    ["sha256", "${ReleaseSha256}"],
    ["packages", "${Packages}"],
    ["limit", "${LimitSeconds}"],
  ]
  const lines = names.map(([name, value]) => `${name}='${value}'\n`)
  return Fn.base64(Fn.sub(["#!/bin/sh\n", ...lines, script.replaceAll("${", "${!")].join("")))
}

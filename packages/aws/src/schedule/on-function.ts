// By a function: for parameters, repositories and small buckets. A state machine calls it again while its run goes on, since
// a function lives for a quarter of an hour at most.

import { CfnParameter, Fn } from "aws-cdk-lib"
import type { Construct } from "constructs"
import { type CodeProps, codeBucket, functionCode, handlerFunction, logGroup } from "./code.ts"
import { definitionString, functionMachine } from "./definitions.ts"
import { machine } from "./machine.ts"
import { IDENTITY, ROLE, sub } from "./parameters.ts"
import { runRights, writesTo } from "./roles.ts"
import type { Scheduled } from "./scheduler.ts"

export interface FunctionProps extends CodeProps {
  /** MiB, 1024 unless given. */
  readonly memory?: number
  /** MiB of `/tmp`, 1024 unless given. */
  readonly scratch?: number
}

export function onFunction(scope: Construct, props: FunctionProps): Scheduled {
  if (props.bundle === undefined) codeBucket(scope, props.codeBucket)
  const memory = new CfnParameter(scope, "Memory", {
    ...{ type: "Number", default: props.memory ?? 1024, minValue: 512, maxValue: 10_240 },
    description: "MiB of memory of the function; its share of a processor grows with it",
  })
  const scratch = new CfnParameter(scope, "Scratch", {
    ...{ type: "Number", default: props.scratch ?? 1024, minValue: 512, maxValue: 10_240 },
    description: "MiB of /tmp",
  })
  new CfnParameter(scope, "Continuations", {
    ...{ type: "Number", default: 96, minValue: 0, maxValue: 1000 },
    description: "How often a run is gone on with before it is given up",
  })
  const logs = logGroup(scope, "Logs")
  const rights = runRights(scope, [writesTo("Logs")])
  const made = handlerFunction(scope, "BackupFunction", {
    ...{ file: "backup", code: functionCode(scope, props), role: Fn.sub(ROLE), logs },
    ...{ memorySize: memory.valueAsNumber, timeout: 900 },
  })
  made.environment = { variables: { BACKUP_CLOUD_ARCHIVE: Fn.ref("Archive"), BACKUP_CLOUD_IDENTITY: Fn.sub(IDENTITY) } }
  made.ephemeralStorage = { size: scratch.valueAsNumber }
  made.addResourceDependency(rights)
  return machine(scope, definitionString(functionMachine), [
    { Sid: "Call", Action: ["lambda:InvokeFunction"], Resource: [sub("${BackupFunction.Arn}")] },
  ])
}

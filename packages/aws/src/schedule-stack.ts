// One source, backed up by schedule, in one of three ways: by a function, by a container, or by a server that lives for one
// run. What runs has the role of the source's own stack, and what starts it can do nothing else.

import { Fn, Stack, type StackProps } from "aws-cdk-lib"
import type { Construct } from "constructs"
import { type FunctionProps, onFunction } from "./schedule/on-function.ts"
import { onServer, type ServerProps } from "./schedule/on-server.ts"
import { onTask, type TaskProps } from "./schedule/on-task.ts"
import { type CommonProps, commonParameters } from "./schedule/parameters.ts"
import { scheduled, scheduleGroup } from "./schedule/scheduler.ts"

/** Each, but for `on`, is the default of a parameter of the template. */
export type ScheduleStackProps = StackProps &
  CommonProps &
  (
    | ({ readonly on: "function" } & FunctionProps)
    | ({ readonly on: "task" } & TaskProps)
    | ({ readonly on: "server" } & ServerProps)
  )

/** Seconds, unless told. */
const LIMITS = { function: 43_200, task: 28_800, server: 43_200 } as const

export class ScheduleStack extends Stack {
  constructor(scope: Construct, id: string, props: ScheduleStackProps) {
    super(scope, id, {
      description: `A source of an archive of backup-cloud, run by schedule on a ${props.on}`,
      ...props,
    })
    commonParameters(this, props, LIMITS[props.on])
    const group = scheduleGroup(this)
    const started =
      props.on === "function"
        ? onFunction(this, props)
        : props.on === "task"
          ? onTask(this, props)
          : onServer(this, group, props)
    scheduled(this, "Backup", group, Fn.ref("Schedule"), started)
  }
}

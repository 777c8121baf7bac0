// The templates of schedules, as a deployment with these parameters would have them.

import assert from "node:assert/strict"
import { ACCOUNT, REGION, type Resource, resolve, template } from "./resolve.ts"

export type On = "function" | "task" | "server"
export const ways: readonly On[] = ["function", "task", "server"]

/** Of the parameters that have no default, and of those that moto asks for. */
export const given: Readonly<Record<On, Readonly<Record<string, string>>>> = {
  function: { Source: "docs", SourceRole: "docs-role", CodeBucket: "code", CodeKey: "handlers.zip" },
  task: { Source: "docs", SourceRole: "docs-role", Vpc: "vpc-1", Subnet: "subnet-1" },
  server: {
    ...{ Source: "docs", SourceRole: "docs-role", SourceProfile: "docs-profile", Vpc: "vpc-1", Subnet: "subnet-1" },
    ...{ CodeBucket: "code", CodeKey: "handlers.zip", ReleaseKey: "release.tar.gz", ReleaseSha256: "0".repeat(64) },
  },
}

/** ARNs and ids that a deployment gives. */
export const named: Readonly<Record<string, string>> = {
  Machine: `arn:aws:states:${REGION}:${ACCOUNT}:stateMachine:Machine`,
  Task: `arn:aws:ecs:${REGION}:${ACCOUNT}:task-definition/the-stack:1`,
  Server: "lt-0123456789abcdef0",
}

export function schedule(on: On, more: Readonly<Record<string, string>> = {}): Readonly<Record<string, Resource>> {
  return resolve(template(`schedule-${on}`), { ...given[on], ...more }, named)
}

/** Properties of a resource. */
export function of(stack: Readonly<Record<string, Resource>>, id: string): Readonly<Record<string, unknown>> {
  return (stack[id] ?? assert.fail(id)).Properties
}

/** The definition of the state machine. */
export function definition(on: "function" | "task", more: Readonly<Record<string, string>> = {}): Definition {
  return JSON.parse(String(of(schedule(on, more), "Machine")["DefinitionString"])) as Definition
}

interface Definition {
  readonly TimeoutSeconds?: number
  readonly States: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** What a schedule starts: the target, the event as its text, and the role. */
export function targetOf(stack: Readonly<Record<string, Resource>>, id = "BackupSchedule"): Target {
  return of(stack, id)["Target"] as Target
}

export interface Target {
  readonly Arn: string
  readonly Input: string
  readonly RoleArn: string
}

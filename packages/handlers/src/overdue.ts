// Which servers of a schedule are overdue, and their end. A server ends itself when its time is over; the grace is for that.
// One that was stopped is overdue as well: nobody stops what ends by itself, and its disk must go.

import { DescribeInstancesCommand, type EC2Client, TerminateInstancesCommand } from "@aws-sdk/client-ec2"
import { BackupError } from "@backup-cloud/format"
import * as v from "valibot"

/** The tag by which the servers of a schedule are known. */
const TAG = "backup-cloud:schedule"
/** Seconds beyond the limit; a server sets its own end at a quarter of an hour. */
const GRACE = 1800

const eventSchema = v.object({
  /** Name of the stack, as the tag has it. */
  schedule: v.pipe(v.string(), v.minLength(1)),
  limitSeconds: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
})

export interface Ended {
  readonly schedule: string
  /** Ids of the servers that were told to end. */
  readonly ended: readonly string[]
  /** How many more there are, within their time. */
  readonly running: number
}

/**
 * Throws `usage` for another event than it must be; `unavailable` if servers could not be looked for, or one could not be
 * ended, after all others were tried.
 */
export async function endOverdue(event: unknown, client: EC2Client, now: Date): Promise<Ended> {
  const parsed = v.safeParse(eventSchema, event)
  if (!parsed.success) {
    const example = '{"schedule": "nightly-docs", "limitSeconds": 43200}'
    throw new BackupError("usage", `the event is not like ${example}; no server was looked for`)
  }
  const { schedule, limitSeconds } = parsed.output
  const latest = now.getTime() - (limitSeconds + GRACE) * 1000
  const ended: string[] = []
  const failed: string[] = []
  let running = 0
  for (const { id, state, launched } of await servers(client, schedule)) {
    if (state !== "stopped" && launched >= latest) {
      running++
      continue
    }
    // One by one: a list with a wrong id in it is refused as a whole.
    const told = client.send(new TerminateInstancesCommand({ InstanceIds: [id] }))
    await told.then(
      () => ended.push(id),
      () => failed.push(id),
    )
  }
  if (failed.length > 0)
    throw new BackupError(
      "unavailable",
      `servers ${failed.join(", ")} of ${schedule} are overdue and could not be ended`,
      {
        hint: "end them by hand: aws ec2 terminate-instances --instance-ids ID",
      },
    )
  return { schedule, ended, running }
}

interface Server {
  readonly id: string
  readonly state: string
  /** Milliseconds since 1970. */
  readonly launched: number
}

async function servers(client: EC2Client, schedule: string): Promise<Server[]> {
  const found: Server[] = []
  let NextToken: string | undefined
  do {
    const command = new DescribeInstancesCommand({
      Filters: [
        { Name: `tag:${TAG}`, Values: [schedule] },
        { Name: "instance-state-name", Values: ["pending", "running", "stopping", "stopped"] },
      ],
      ...(NextToken === undefined ? {} : { NextToken }),
    })
    const page = await client.send(command).catch((cause: unknown) => {
      throw new BackupError("unavailable", `the servers of ${schedule} could not be looked for; none was ended`, {
        cause,
        hint: "see that the function may call ec2:DescribeInstances; it is called again in a quarter of an hour",
      })
    })
    for (const { InstanceId, State, LaunchTime } of (page.Reservations ?? []).flatMap((each) => each.Instances ?? []))
      if (InstanceId !== undefined)
        found.push({ id: InstanceId, state: State?.Name ?? "", launched: LaunchTime?.getTime() ?? 0 })
    NextToken = page.NextToken
  } while (NextToken !== undefined && NextToken !== "")
  return found
}

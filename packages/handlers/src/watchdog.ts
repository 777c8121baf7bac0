// The function that ends servers which outlived their limit, should one not have ended itself: event, one look, reply. Its
// rights are for servers with the tag of its own schedule, whatever the event says.

import { EC2Client } from "@aws-sdk/client-ec2"
import { type Ended, endOverdue } from "./overdue.ts"

export async function handler(event: unknown): Promise<Ended> {
  const client = new EC2Client({})
  try {
    const ended = await endOverdue(event, client, new Date())
    process.stdout.write(`${JSON.stringify({ event: "looked", ...ended })}\n`)
    return ended
  } finally {
    client.destroy()
  }
}

// Traces by OpenTelemetry, where the environment says where to send them. What keeps them from going there is told, and keeps
// nothing else from being done.

import { escapeControl } from "@backup-cloud/format"
import { installed } from "./installed.ts"
import type { Session } from "./session.ts"

/** `null` where nobody wants any. */
export async function traces(session: Session): Promise<AsyncDisposable | null> {
  const { env } = session.io
  if ((env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] ?? env["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? "") === "") return null
  const { sendTraces } = await installed("traces", () => import("@backup-cloud/traces"))
  return sendTraces((why) => {
    session.warn(`traces could not be sent: ${escapeControl(why)}`)
  })
}

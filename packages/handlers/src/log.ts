// The log of a function: one JSON object a line, for CloudWatch. What is logged is chosen field by field; what a field could
// carry by mistake is taken out by its name.

import { BackupError } from "@backup-cloud/format"
import { type Logger, pino, stdTimeFunctions } from "pino"

const NAMES = ["secret", "signingKey", "value", "password", "token", "passphrase", "authorization"]

/** @param write is given each line with its end */
export function openLog(write: (line: string) => void, source: string): Logger {
  return pino(
    {
      base: { source },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      redact: [...NAMES, ...NAMES.map((name) => `*.${name}`)],
    },
    { write },
  )
}

/** What of an error is logged: never its cause whole, which may hold an answer with what was read. */
export function loggedError(error: unknown): Readonly<Record<string, string>> {
  if (!(error instanceof Error)) return { fault: "defect" }
  const { cause } = error
  const why = cause instanceof Error ? { cause: cause.name } : {}
  if (!(error instanceof BackupError)) return { fault: "defect", message: error.message, ...why }
  return {
    fault: error.fault,
    message: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...why,
  }
}

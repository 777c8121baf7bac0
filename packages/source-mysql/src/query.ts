// Asks the server through its own client: the same way of signing in and the same TLS as the tools that dump and load, and
// no driver beside them. Rows come as JSON that the server writes, so no text can be taken for a separator.

import type { MysqlAccess } from "./access.ts"
import { type FoundTool, startTool } from "./tool.ts"

export type Row = readonly (string | number | null)[]

/** @param columns expressions; the answer has one array a row */
export async function query(
  tool: FoundTool,
  access: MysqlAccess,
  columns: readonly string[],
  rest: string,
  signal: AbortSignal,
): Promise<readonly Row[]> {
  const lines = await statement(tool, access, `SELECT JSON_ARRAY(${columns.join(", ")}) ${rest}`, signal)
  return lines.map((line) => JSON.parse(line) as Row)
}

/** Runs SQL; the lines that the server answered. Throws `refused`, `unavailable` or `incomplete`. */
async function statement(
  tool: FoundTool,
  access: MysqlAccess,
  sql: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const running = await startTool(tool, access, ["--batch", "--raw", "--skip-column-names"], signal)
  const abort = (): void => void running.stop()
  signal.addEventListener("abort", abort, { once: true })
  try {
    running.stdin.end(`${sql};\n`)
    let text = ""
    for await (const piece of running.stdout.setEncoding("utf8")) text += String(piece)
    await running.success("the server was asked in vain")
    signal.throwIfAborted()
    return text.split("\n").filter((line) => line !== "")
  } finally {
    signal.removeEventListener("abort", abort)
    await running.stop()
  }
}

/** Text as SQL has it, in whatever mode the server is. */
export const literal = (text: string): string => `CONVERT(X'${Buffer.from(text).toString("hex")}' USING utf8mb4)`

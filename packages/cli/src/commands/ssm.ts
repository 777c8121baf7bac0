// ssm: parameters as the JSON of the tool that came before, through a pipe. It has nothing to do with an archive.

import { BackupError, escapeControl, fromByteString } from "@backup-cloud/format"
import type { Command } from "commander"
import { installed } from "../installed.ts"
import { placeOf } from "../kinds.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

export function addSsmCommands(root: Command, register: Register): void {
  const ssm = root.command("ssm").description("parameters of AWS Systems Manager as JSON, values in the clear")
  register(ssm, "export <url>", "all below ssm:/path, to standard output", async (session, [url = ""]) => {
    const { exportJson } = await installed("source-ssm", () => import("@backup-cloud/source-ssm"))
    const { path, access } = parametersAt(session, url)
    for await (const text of exportJson({ path, ...access }, session.io.signal)) await session.io.raw(Buffer.from(text))
  })
  register(
    ssm,
    "import [url]",
    "from standard input, under the names in it; ssm:/?region=… says where",
    async (session, [url = "ssm:/"], options) => {
      await importAll(session, url, options["overwrite"] === true)
    },
  ).option("--overwrite", "replace what is there and differs")
}

async function importAll(session: Session, url: string, overwrite: boolean): Promise<void> {
  const { importJson } = await installed("source-ssm", () => import("@backup-cloud/source-ssm"))
  const { io } = session
  const { written, equal, problems } = await importJson(
    io.input,
    {
      ...parametersAt(session, url).access,
      overwrite,
      onEvent: (event) => {
        session.event({ ...event, event: `parameter-${event.event}` })
      },
    },
    io.signal,
  )
  for (const { path, why } of problems) session.note(`${escapeControl(fromByteString(path))}: ${why}`)
  session.say(`${written} parameters written, ${equal} were there and equal.`)
  session.event({ event: "result", written, equal, problems })
  if (problems.length > 0) {
    throw new BackupError("differs", `${problems.length} parameters are not as the input has them; see above`, {
      hint: "what is there was left; --overwrite replaces it",
    })
  }
}

function parametersAt(session: Session, url: string) {
  const place = placeOf(url, session.io.env)
  if (place.kind === "ssm") return place
  throw new BackupError("usage", `${escapeControl(url)} does not name parameters`, { hint: "write ssm:/path" })
}

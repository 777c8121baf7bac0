// doctor: what this machine lacks, and the command that mends it.

import { BackupError, escapeControl } from "@backup-cloud/format"
import type { Command } from "commander"
import { archiveChecks } from "../checks/archive.ts"
import { machineChecks } from "../checks/machine.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

export function addDoctorCommand(root: Command, register: Register): void {
  register(root, "doctor", "what this machine lacks, and the command that mends it", async (session) => {
    await doctor(session)
  })
}

async function doctor(session: Session): Promise<void> {
  let checked = 0
  let failed = 0
  let unknown = 0
  const all = async function* () {
    yield* machineChecks(session)
    yield* archiveChecks(session)
  }
  for await (const check of all()) {
    const trouble = await check.run()
    checked++
    if (trouble === null) session.say(`ok    ${check.name}`)
    else {
      const problem = escapeControl(trouble.problem)
      if (trouble.unknown === true) unknown++
      else failed++
      const begin = trouble.unknown === true ? `?     ${check.name}: not checked: ` : `FAIL  ${check.name}: `
      session.say(`${begin}${problem}\n      → ${escapeControl(trouble.mend)}`)
    }
    const ok = trouble?.unknown === true ? null : trouble === null
    session.event({ event: "check", name: check.name, ok, ...trouble })
  }
  if (failed > 0) throw new BackupError("open-risk", `${failed} of ${checked} checks failed; see above`)
  session.say(
    unknown === 0
      ? `All ${checked} checks passed.`
      : `${checked - unknown} checks passed, ${unknown} could not be made.`,
  )
  session.event({ event: "result", checked, failed, unknown })
}

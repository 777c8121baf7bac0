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
  const all = async function* () {
    yield* machineChecks(session)
    yield* archiveChecks(session)
  }
  for await (const check of all()) {
    const trouble = await check.run()
    checked++
    if (trouble === null) session.say(`ok    ${check.name}`)
    else {
      failed++
      session.say(`FAIL  ${check.name}: ${escapeControl(trouble.problem)}\n      → ${escapeControl(trouble.mend)}`)
    }
    session.event({ event: "check", name: check.name, ok: trouble === null, ...trouble })
  }
  if (failed > 0) throw new BackupError("open-risk", `${failed} of ${checked} checks failed; see above`)
  session.say(`All ${checked} checks passed.`)
  session.event({ event: "result", checked, failed })
}

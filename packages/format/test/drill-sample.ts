// The result of a drill, for tests of the format.

import type { DrillResult } from "../src/index.ts"
import { archive, digest, earlier, fingerprint, run, source, time } from "./samples.ts"

export const drill: DrillResult = {
  format: "backup-cloud/1",
  type: "drill",
  archive,
  id: run,
  created: time,
  operator: fingerprint("olga"),
  source,
  run: earlier,
  sums: digest("sums"),
  from: "archive",
  started: time,
  finished: time,
  outcome: "passed",
  entries: 1024,
  bytes: 1_073_741_824,
  differences: 0,
  first_byte_ms: 810,
  total_ms: 61_000,
  age_seconds: 86_400,
  rto_minutes: 240,
  rpo_minutes: 0,
  controls: [
    { name: "changed-file", outcome: "passed" },
    { name: "flipped-byte", outcome: "passed" },
  ],
  checks: [
    { name: "files", outcome: "passed" },
    { name: "owner", outcome: "passed" },
  ],
  reason: "",
}

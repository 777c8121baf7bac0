// What the system says when a disk fails, as a fault that says which disk and what to do.

import { BackupError } from "@backup-cloud/format"

/** The error as a fault that names `what` on the disk; one that is a fault already, or a defect, as it is. */
export function diskFault(what: string, error: unknown): unknown {
  if (error instanceof BackupError || !(error instanceof Error) || !("code" in error)) return error
  const code = String(error.code)
  if (code === "ENOENT") return new BackupError("not-found", `${what}: is not there`, { cause: error })
  if (["EROFS", "EACCES", "EPERM"].includes(code))
    return new BackupError("refused", `${what}: may not be written (${code}); it was left as it is`, {
      cause: error,
      hint: "mount the disk so that it can be written: mount -o remount,rw DISK",
    })
  const full = code === "ENOSPC" || code === "EDQUOT"
  return new BackupError("unavailable", `${what}: the disk ${full ? "is full" : "failed"} (${code})`, {
    cause: error,
    hint: full
      ? "a larger disk, or another one for the same set: backup-cloud media init --set"
      : "unplug the disk, plug it in again, and do the same again: it goes on where it stopped; look at the kernel's log",
  })
}

// The way back: one restored file into the standard input of a command. Pieces go in as they are verified, so memory stays
// small; that the whole file is what was backed up is known only at its end, and only then the command sees the end of its
// input. If it is not, the command and all of its process group are killed before their input closes.
//
// Not promised: that nothing the command did takes effect. Use one that does everything at the end, in one transaction;
// and not one that hands its input to another machine, which takes a broken connection for the end.

import { pipeline } from "node:stream/promises"
import { BackupError } from "@backup-cloud/format"
import { type Command, Running, type RunOptions } from "./run.ts"

/** `command`: an argument that is exactly `{name}` becomes the name. */
export interface PipeOptions extends Command, RunOptions {
  /** Of the restored stream. It comes from the archive, so it is never put into a longer argument, such as a script. */
  readonly name: string
}

/**
 * Runs the command and gives it `content`, which must throw at its end if it was not what it should be (as `fileContent`
 * of the package restore does). Returns once the command has ended with status 0 and had read everything.
 *
 * Throws what `content` throws, the reason of an aborted signal, `incomplete` if the command cannot be started, fails, or
 * stops reading early; `refused` for a name that a program would take for an option.
 */
export async function pipeInto(
  content: AsyncIterable<Uint8Array>,
  options: PipeOptions,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  const { name } = options
  if (options.command.includes(PLACE) && name.startsWith("-")) {
    throw new BackupError("refused", `${JSON.stringify(name)} could be taken for an option; nothing was restored`, {
      hint: `leave ${PLACE} out of the command`,
    })
  }
  const command = options.command.map((argument) => (argument === PLACE ? name : argument))
  const running = new Running(name, { ...options, command }, "in", options)
  const kill = (): void => {
    running.signal("SIGKILL")
  }
  signal.addEventListener("abort", kill, { once: true })
  let failed: { readonly error: unknown } | null = null
  const guarded = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* content
    } catch (error) {
      kill()
      failed = { error }
      throw error
    }
  }
  try {
    const whole =
      running.stdin === null ||
      (await pipeline(guarded(), running.stdin, { signal }).then(
        () => true,
        () => false,
      ))
    signal.throwIfAborted()
    throwFailure(failed)
    await running.success("the restore is not whole")
    signal.throwIfAborted()
    if (!whole) throw running.failure("ended before it had read everything", "the restore is not whole")
  } finally {
    signal.removeEventListener("abort", kill)
    await running.stop("SIGKILL")
  }
}

const PLACE = "{name}"

function throwFailure(failed: { readonly error: unknown } | null): void {
  if (failed !== null) throw failed.error
}

// How much room a disk has.

import { statfs } from "node:fs/promises"
import { diskFault } from "./disk-faults.ts"

export interface Space {
  /** Bytes that anybody may still fill. */
  readonly free: number
  readonly used: number
  /** Bytes that an empty disk of this size would take. */
  readonly capacity: number
}

export async function spaceOf(path: string): Promise<Space> {
  try {
    const { bsize, blocks, bfree, bavail } = await statfs(path)
    const used = (blocks - bfree) * bsize
    return { free: bavail * bsize, used, capacity: used + bavail * bsize }
  } catch (error) {
    throw diskFault(path, error)
  }
}

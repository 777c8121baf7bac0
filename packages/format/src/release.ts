/**
 * Gives the memory of a buffer back at once. Left to the garbage collector, of which each thread has its own, tens of MiB
 * of used buffers lie about in each, and every few of them cost a collection of everything. The buffer is empty afterwards.
 */
export function release(buffer: ArrayBuffer): void {
  buffer.transfer(0)
}

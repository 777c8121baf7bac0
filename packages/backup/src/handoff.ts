// Pieces from hand to hand: whoever has one waits until the reader comes for the next. So nothing piles up between them, and
// the memory of a piece is its giver's again as soon as `push` has resolved.

export class Handoff implements AsyncIterable<Uint8Array> {
  #next: { readonly piece: Uint8Array; readonly taken: () => void } | null = null
  #ended = false
  #wake: () => void = () => undefined
  readonly #signal: AbortSignal

  /** @param signal ends the reader's wait */
  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** One at a time. Resolves when the reader asks for more; never, if it does not. */
  push(piece: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#next = { piece, taken: resolve }
      this.#wake()
    })
  }

  /** No more comes. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  /** To be iterated once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const wake = (): void => {
      this.#wake()
    }
    this.#signal.addEventListener("abort", wake, { once: true })
    try {
      for (;;) {
        this.#signal.throwIfAborted()
        const next = this.#next
        if (next !== null) {
          this.#next = null
          yield next.piece
          next.taken()
        } else if (this.#ended) {
          return
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
      }
    } finally {
      this.#signal.removeEventListener("abort", wake)
    }
  }
}

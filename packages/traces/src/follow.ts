// Steps as spans: each begins and ends with its step, and lies within the span of the step around it.

import { AsyncLocalStorage } from "node:async_hooks"
import { BackupError, type Step, steps } from "@backup-cloud/format"
import { context, type Span, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api"

/** Before the names of attributes. */
const SPACE = "backup_cloud."

const named = (step: Step): Record<string, string | number> =>
  Object.fromEntries(Object.entries(step.attributes).map(([name, value]) => [SPACE + name, value]))

const nothing = (): void => undefined

/** Until it is disposed of. A step outside of all others lies within what is OpenTelemetry's active span then. */
export function followSteps(tracer: Tracer): Disposable {
  const around = new AsyncLocalStorage<Span>()
  const spans = new WeakMap<Step, Span>()
  const begin = (step: Step): Span => {
    const outer = around.getStore()
    const within = outer === undefined ? context.active() : trace.setSpan(context.active(), outer)
    const span = tracer.startSpan(step.name, { attributes: named(step) }, within)
    spans.set(step, span)
    return span
  }
  const listeners = {
    start: nothing,
    end: nothing,
    asyncStart: nothing,
    error(step: Step & { error: unknown }) {
      // Its fault alone: messages are for people, who have them already.
      const fault = step.error instanceof BackupError ? step.error.fault : "defect"
      spans.get(step)?.setStatus({ code: SpanStatusCode.ERROR, message: fault })
    },
    asyncEnd(step: Step) {
      spans.get(step)?.setAttributes(named(step)).end()
    },
  }
  steps.start.bindStore(around, begin)
  steps.subscribe(listeners)
  return {
    [Symbol.dispose]() {
      steps.unsubscribe(listeners)
      steps.start.unbindStore(around)
    },
  }
}

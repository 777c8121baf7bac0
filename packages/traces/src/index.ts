// Traces of what backup-cloud does: a span for each step that it tells of. For programs with an OpenTelemetry SDK of their own
// `followSteps`; for others `sendTraces`, which brings one.

export { followSteps } from "./follow.ts"
export { sendTraces } from "./send.ts"

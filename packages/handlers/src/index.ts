// What runs in AWS without a server. Each function is a file of its own with an export `handler`.

export { type ShardResult, type Summary, type SummaryEvent, summarise } from "./summary.ts"

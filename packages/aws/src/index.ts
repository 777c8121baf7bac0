// The archive, its roles and its schedules as stacks of the CDK.

export { ArchiveStack, type ArchiveStackProps } from "./archive-stack.ts"
export { ReplicaStack, type ReplicaStackProps } from "./replica-stack.ts"
export { ScheduleStack, type ScheduleStackProps } from "./schedule-stack.ts"
export { SourceStack, type SourceStackProps } from "./source-stack.ts"
export { templates } from "./templates.ts"

// The archive, its roles and its schedules as stacks of the CDK.

export { AlarmStack, type AlarmStackProps } from "./alarm-stack.ts"
export { ArchiveStack, type ArchiveStackProps } from "./archive-stack.ts"
export { ImageStack, type ImageStackProps } from "./image-stack.ts"
export { MapStack, type MapStackProps } from "./map-stack.ts"
export { ReplicaStack, type ReplicaStackProps } from "./replica-stack.ts"
export { ScheduleStack, type ScheduleStackProps } from "./schedule-stack.ts"
export { SourceAlarmStack, type SourceAlarmStackProps } from "./source-alarm-stack.ts"
export { SourceStack, type SourceStackProps } from "./source-stack.ts"
export { templates } from "./templates.ts"

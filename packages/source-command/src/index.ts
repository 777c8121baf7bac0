export { type PipeOptions, pipeInto } from "./pipe.ts"
export { type Command, type Kill, type RunOptions } from "./run.ts"
export { type CommandSourceOptions, commandSource, type NamedStream } from "./source.ts"

export { type PipeOptions, pipeInto } from "./pipe.ts"
export { type Command, type Kill, Running, type RunOptions } from "./run.ts"
export { type CommandSourceOptions, commandSource, type NamedStream, output } from "./source.ts"

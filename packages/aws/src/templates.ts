// The templates as files for CloudFormation, for people without the CDK.

import { App, type IStackSynthesizer, LegacyStackSynthesizer, type Stack, type StackProps } from "aws-cdk-lib"
import { AlarmStack } from "./alarm-stack.ts"
import { ArchiveStack } from "./archive-stack.ts"
import { ImageStack } from "./image-stack.ts"
import { MapStack } from "./map-stack.ts"
import { ReplicaStack } from "./replica-stack.ts"
import { ScheduleStack } from "./schedule-stack.ts"
import { SourceAlarmStack } from "./source-alarm-stack.ts"
import { SourceStack } from "./source-stack.ts"

/** Text of each file below `deploy/cloudformation/`, by its name. @param scratch a folder for what the CDK writes */
export function templates(scratch: string): ReadonlyMap<string, string> {
  const app = new App({ analyticsReporting: false, outdir: scratch })
  // Its types were not made for `exactOptionalPropertyTypes`. It asks for no bootstrapped account.
  const plain = (): StackProps => ({ synthesizer: new LegacyStackSynthesizer() as IStackSynthesizer })
  const stacks: readonly (readonly [string, Stack])[] = [
    ["archive.json", new ArchiveStack(app, "archive", plain())],
    ["source.json", new SourceStack(app, "source", plain())],
    ["image.json", new ImageStack(app, "image", plain())],
    ["map.json", new MapStack(app, "map", plain())],
    ["alarms.json", new AlarmStack(app, "alarms", plain())],
    ["source-alarms.json", new SourceAlarmStack(app, "source-alarms", plain())],
    ["replica.json", new ReplicaStack(app, "replica", plain())],
    ...(["function", "task", "server"] as const).map(
      (on) => [`schedule-${on}.json`, new ScheduleStack(app, `schedule-${on}`, { ...plain(), on })] as const,
    ),
  ]
  const assembly = app.synth()
  return new Map(
    stacks.map(([file, { stackName }]) => {
      const template: unknown = assembly.getStackByName(stackName).template
      return [file, `${JSON.stringify(template, null, 2)}\n`]
    }),
  )
}

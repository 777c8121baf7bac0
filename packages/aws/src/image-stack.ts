// Where the container image lies, and its build: each week, from a repository with this project's source, anew with current
// packages. Who builds can put an image there and nothing else; images are scanned when they arrive, and old ones go.

import { CfnDeletionPolicy, CfnOutput, CfnParameter, Fn, Stack, type StackProps, Validations } from "aws-cdk-lib"
import { CfnProject } from "aws-cdk-lib/aws-codebuild"
import { CfnRepository } from "aws-cdk-lib/aws-ecr"
import { CfnPolicy } from "aws-cdk-lib/aws-iam"
import { CfnLogGroup } from "aws-cdk-lib/aws-logs"
import { CfnSchedule } from "aws-cdk-lib/aws-scheduler"
import type { Construct } from "constructs"
import { serviceRole } from "./map-rights.ts"
import { allowPatterns } from "./role-policy.ts"

/** Each is the default of a parameter of the template. */
export interface ImageStackProps extends StackProps {
  /** HTTPS address of a git repository with this project's source that anybody can read. */
  readonly repository?: string
  /** Branch or tag; `main` unless given. A tag is what was reviewed, a branch what is newest. */
  readonly revision?: string
  /** Base image; `debian:trixie-slim` unless given. */
  readonly base?: string
  /** Debian packages for dumps and repositories, separated by blanks. */
  readonly tools?: string
  /** As EventBridge Scheduler writes it; Sundays at 3:00 UTC unless given. */
  readonly schedule?: string
}

/** What the build does; `$` names come from its environment. */
const BUILD = `set -euo pipefail
tag=$(date -u +%Y%m%d-%H%M%S)
git clone --quiet --depth 1 --branch "$REVISION" "$REPOSITORY" source
aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"
docker build --pull --no-cache --build-arg "BASE=$BASE" --build-arg "TOOLS=$TOOLS" \\
  --file source/deploy/container/Dockerfile --tag "$IMAGE:$tag" source
# An image that does not start goes nowhere.
docker run --rm --read-only --tmpfs /tmp --network none "$IMAGE:$tag" --version
docker tag "$IMAGE:$tag" "$IMAGE:current"
docker push "$IMAGE:$tag"
docker push "$IMAGE:current"
`

export class ImageStack extends Stack {
  constructor(scope: Construct, id: string, props: ImageStackProps = {}) {
    super(scope, id, { description: "The container image of backup-cloud, built anew each week", ...props })
    const text = (id: string, description: string, value: string | undefined, pattern: string): string =>
      new CfnParameter(this, id, {
        ...{ description, allowedPattern: pattern },
        ...(value === undefined ? {} : { default: value }),
      }).valueAsString
    const repository = text(
      "Repository",
      "HTTPS address of a git repository with the source that anybody can read",
      props.repository,
      "^https://.+$",
    )
    const revision = text("Revision", "Branch or tag", props.revision ?? "main", "^[A-Za-z0-9._/-]+$")
    const base = text("BaseImage", "Base image", props.base ?? "debian:trixie-slim", "^[a-z0-9./:@_-]+$")
    const tools = text(
      "Tools",
      "Debian packages for dumps and repositories, with blanks between",
      props.tools ?? "git git-lfs mariadb-client openssh-client postgresql-client",
      "^[a-z0-9 .+-]*$",
    )
    const when = text(
      "Schedule",
      "When it is built, as EventBridge Scheduler writes it, in UTC",
      props.schedule ?? "cron(0 3 ? * SUN *)",
      "^(cron|rate)\\(.+\\)$",
    )
    const images = new CfnRepository(this, "Images", {
      imageScanningConfiguration: { scanOnPush: true },
      // The tag of a build stays; `current` goes on to the newest.
      imageTagMutability: "MUTABLE",
      lifecyclePolicy: {
        lifecyclePolicyText: JSON.stringify({
          rules: [
            {
              ...{ rulePriority: 1, description: "the newest twelve stay", action: { type: "expire" } },
              selection: { tagStatus: "any", countType: "imageCountMoreThan", countNumber: 12 },
            },
          ],
        }),
      },
    })
    images.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN
    images.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN
    const project = this.#project(images, repository, revision, base, tools)
    this.#schedule(project, when)
    new CfnOutput(this, "ImageUri", { value: Fn.sub("${Images.RepositoryUri}:current") })
    new CfnOutput(this, "ProjectName", { value: project.ref })
  }

  #project(images: CfnRepository, repository: string, revision: string, base: string, tools: string): CfnProject {
    const logs = new CfnLogGroup(this, "BuildLogs", { retentionInDays: 400 })
    logs.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE
    logs.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.DELETE
    const role = serviceRole(this, "BuildRole", "codebuild.amazonaws.com", "It builds the image of backup-cloud")
    const rights = new CfnPolicy(this, "BuildRights", {
      policyName: "build",
      roles: [role.ref],
      policyDocument: {
        Version: "2012-10-17",
        Statement: [
          {
            ...{ Sid: "Log", Effect: "Allow", Action: ["logs:CreateLogStream", "logs:PutLogEvents"] },
            Resource: [logs.attrArn],
          },
          { Sid: "Enter", Effect: "Allow", Action: ["ecr:GetAuthorizationToken"], Resource: ["*"] },
          {
            ...{ Sid: "Push", Effect: "Allow" },
            Action: [
              ...["ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart"],
              ...["ecr:CompleteLayerUpload", "ecr:PutImage"],
            ],
            Resource: [images.attrArn],
          },
        ],
      },
    })
    allowPatterns(
      rights,
      ["*"],
      "a token for the registry is of no resource; what it opens is what the next right says",
    )
    const variable = (name: string, value: string) => ({ name, value, type: "PLAINTEXT" })
    const project = new CfnProject(this, "Build", {
      description: "Builds the image of backup-cloud with current packages",
      serviceRole: role.attrArn,
      source: {
        type: "NO_SOURCE",
        buildSpec: JSON.stringify({
          version: 0.2,
          env: { shell: "bash" },
          phases: { build: { commands: [BUILD] } },
        }),
      },
      artifacts: { type: "NO_ARTIFACTS" },
      environment: {
        ...{ type: "LINUX_CONTAINER", computeType: "BUILD_GENERAL1_MEDIUM" },
        image: "aws/codebuild/standard:7.0",
        // Docker runs in it.
        privilegedMode: true,
        environmentVariables: [
          variable("REGISTRY", Fn.sub("${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}")),
          variable("IMAGE", images.attrRepositoryUri),
          variable("REPOSITORY", repository),
          variable("REVISION", revision),
          variable("BASE", base),
          variable("TOOLS", tools),
        ],
      },
      timeoutInMinutes: 60,
      logsConfig: { cloudWatchLogs: { status: "ENABLED", groupName: logs.ref } },
    })
    project.addResourceDependency(rights)
    Validations.of(project).acknowledge(
      {
        id: "AwsSolutions-CB3",
        reason: "an image is built by Docker, which asks for it; the project has no right but to put the image",
      },
      { id: "CloudFormation-Validate::E3050", reason: "the role is named by its ARN; the rule takes it for a Ref" },
      { id: "AwsSolutions-CB4", reason: "it has no artifacts to encrypt: what it makes goes to the registry" },
    )
    return project
  }

  #schedule(project: CfnProject, when: string): void {
    const role = serviceRole(this, "RebuildRole", "scheduler.amazonaws.com", "With it the schedule starts the build")
    const rights = new CfnPolicy(this, "RebuildRights", {
      policyName: "start",
      roles: [role.ref],
      policyDocument: {
        Version: "2012-10-17",
        Statement: [{ Sid: "Start", Effect: "Allow", Action: ["codebuild:StartBuild"], Resource: [project.attrArn] }],
      },
    })
    new CfnSchedule(this, "Rebuild", {
      description: "Builds the image anew",
      scheduleExpression: when,
      flexibleTimeWindow: { mode: "FLEXIBLE", maximumWindowInMinutes: 60 },
      target: {
        ...{ arn: Fn.sub("arn:${AWS::Partition}:scheduler:::aws-sdk:codebuild:startBuild"), roleArn: role.attrArn },
        input: Fn.sub('{"ProjectName":"${Build}"}'),
      },
    }).addResourceDependency(rights)
  }
}

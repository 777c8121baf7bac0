// Roles that people take: the account's own policies say who may, unless somebody is named, and a second factor is asked
// for unless told.

import { CfnCondition, CfnParameter, Fn } from "aws-cdk-lib"
import { CfnRole } from "aws-cdk-lib/aws-iam"
import type { Construct } from "constructs"
import { isGiven } from "./parameters.ts"

/** @param id `Administrator` or `Operator` @param arn default of the parameter that says who may take it */
export function personRole(scope: Construct, id: string, arn: string | undefined): CfnRole {
  const who = new CfnParameter(scope, `${id}Arn`, {
    description: `ARN of the user or role that may take the role of the ${id.toLowerCase()}; empty for whom the account's own policies let`,
    default: arn ?? "",
    allowedPattern: "^$|^arn:[a-z-]+:(iam|sts)::[0-9]{12}:.+$",
  })
  const given = isGiven(scope, `${id}Given`, who)
  return new CfnRole(scope, `${id}Role`, {
    description: `The ${id.toLowerCase()} of an archive of backup-cloud`,
    path: "/backup-cloud/",
    maxSessionDuration: 43_200,
    assumeRolePolicyDocument: {
      Version: "2012-10-17",
      Statement: [
        {
          Sid: "People",
          Effect: "Allow",
          Principal: {
            AWS: Fn.conditionIf(given.logicalId, who.valueAsString, {
              "Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root",
            }),
          },
          Action: ["sts:AssumeRole"],
          Condition: Fn.conditionIf(
            mfaCondition(scope).logicalId,
            { Bool: { "aws:MultiFactorAuthPresent": "true" } },
            { Ref: "AWS::NoValue" },
          ),
        },
      ],
    },
  })
}

/** One for all roles of a stack. */
function mfaCondition(scope: Construct): CfnCondition {
  const found = scope.node.tryFindChild("AsksForMfa")
  if (found instanceof CfnCondition) return found
  const mfa = new CfnParameter(scope, "SecondFactor", {
    description:
      "Whether a second factor is asked for by IAM; false where people come from a directory that asks for it",
    default: "true",
    allowedValues: ["true", "false"],
  })
  return new CfnCondition(scope, "AsksForMfa", { expression: Fn.conditionEquals(mfa.valueAsString, "true") })
}

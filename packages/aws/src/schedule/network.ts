// Where a task or a server runs: in a subnet that has a way out but no way in, with a group of its own that nothing reaches.

import { CfnParameter } from "aws-cdk-lib"
import { CfnSecurityGroup } from "aws-cdk-lib/aws-ec2"
import type { Construct } from "constructs"
import { isGiven } from "../parameters.ts"

/** Parameters Vpc, Subnet and DataGroup. @returns the id of its own group, and the condition that there is a DataGroup */
export function closedGroup(scope: Construct): { readonly own: string; readonly condition: string } {
  const vpc = new CfnParameter(scope, "Vpc", { type: "AWS::EC2::VPC::Id", description: "Network of the subnet" })
  new CfnParameter(scope, "Subnet", {
    type: "AWS::EC2::Subnet::Id",
    description: "Where it runs: with a way out, by a NAT gateway or endpoints. It gets no public address",
  })
  const data = new CfnParameter(scope, "DataGroup", {
    description: "Security group besides its own, with which it reaches a database for example; empty for none",
    default: "",
    allowedPattern: "^$|^sg-[0-9a-f]+$",
  })
  const given = isGiven(scope, "DataGroupGiven", data)
  const own = new CfnSecurityGroup(scope, "Group", {
    groupDescription: "Nothing comes in, and TLS goes out",
    vpcId: vpc.valueAsString,
    securityGroupIngress: [],
    securityGroupEgress: [
      { ipProtocol: "tcp", fromPort: 443, toPort: 443, cidrIp: "0.0.0.0/0", description: "AWS, and what is read" },
    ],
  })
  return { own: own.attrGroupId, condition: given.logicalId }
}

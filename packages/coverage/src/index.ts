// Which resources of a cloud account no source backs up.

export { type AwsAccess, type Inventory, inventory } from "./inventory.ts"
export { type Covered, coverage, type NamedPlace, type Place } from "./match.ts"
export { KINDS, type Kind, type Resource, type Unlisted } from "./resource.ts"
export { ofStack, type StackResource, stackResources } from "./stack.ts"

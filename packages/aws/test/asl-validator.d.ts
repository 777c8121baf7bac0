// What the tests use of a package that brings no types.

declare module "asl-validator" {
  export default function validate(definition: object): { readonly isValid: boolean; errorsText(): string }
}

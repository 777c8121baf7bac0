// What the package says of itself in its documentation; it comes without declarations.

declare module "asl-validator" {
  export default function validate(definition: unknown): {
    readonly isValid: boolean
    readonly errorsText: (separator?: string) => string
  }
}

export const iamPolicy = (..._a: unknown[]): unknown => null

// What an account has that may hold data.

export const KINDS = [
  "s3-bucket",
  "ssm-parameters",
  "rds-instance",
  "rds-cluster",
  "dynamodb-table",
  "ebs-volume",
  "efs-file-system",
  "secret",
] as const
export type Kind = (typeof KINDS)[number]

export interface Resource {
  readonly kind: Kind
  readonly arn: string
  /** As people know it: of a bucket its name, of parameters the first part of their path, `/app`. */
  readonly name: string
  /** Names under which a server answers; of parameters, all of them. */
  readonly parts: readonly string[]
}

/** A kind that could not be listed: nobody knows what there is of it. */
export interface Unlisted {
  readonly kind: Kind
  /** The service's word for it, such as `AccessDenied`. */
  readonly why: string
}

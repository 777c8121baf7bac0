// Options that may be given several times.

type Options = Readonly<Record<string, unknown>>

/** For Commander: without a default, so that a required option is missed and help shows none. */
export const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value]

/** All that was given for an option that collects. */
export const listOf = (options: Options, name: string): string[] => (options[name] as string[] | undefined) ?? []

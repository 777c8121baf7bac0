// Words of a command line that a person pastes, quoted where they need it.

/** Needs no quotes in a shell, a crontab or a unit file. */
export const PLAIN = /^[A-Za-z0-9_/:@=.,+-]+$/

export const shellWord = (word: string): string => (PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

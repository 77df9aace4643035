/**
 * What the process answers to its caller. Scripts rely on these numbers: they are part of the command's interface and
 * listed in docs/cli.md.
 */

export const EXIT = {
  ok: 0,
  /** It was tried and did not work: a record was refused, a file is damaged, a port is taken. */
  failed: 1,
  /** The command line, a setting or a name cannot be what it is: the same call can never work. */
  usage: 2,
  /** No broker could be reached. */
  cannotConnect: 3,
  /** The broker, or the operating system, does not allow it. */
  notAuthorised: 4,
  /** The topic, partition, file or directory does not exist. */
  notFound: 5,
  /** Ctrl-C ended it before it was done, the way shells count it: 128 and the number of SIGINT. */
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

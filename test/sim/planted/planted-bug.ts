/**
 * A planted bug: a mistake that a good engineer could make, as a substitution of text in one file of the product. It is put in
 * when a process of the tests loads that module; the product has no switch for it (docs/faults.md section 7).
 */

export interface PlantedBug {
  /** Unique, in kebab case. */
  readonly id: string
  /** From the root of the repository, `src/…`. */
  readonly file: string
  /** Must occur in the file exactly once. */
  readonly find: string
  readonly replace: string
  /** The mistake, in one sentence. */
  readonly what: string
  /** Invariants that it breaks; the message of the catch should name one of them. */
  readonly breaks: readonly string[]
  /** Scenarios that lead there. */
  readonly scenarios: readonly string[]
  readonly catcher: Catcher
}

/** Random lives go first, where a search has found a seed at which they catch the bug (`from-seeds.json`). */
export interface Catcher {
  /** Each life has a group, not one in five. */
  readonly hasGroup?: true
  /** For bugs that no random life comes upon in reasonable time. Null: there is none, and lives alone must do. */
  readonly test: TestName | null
}

/** A test, or all whose names have `name` in them. */
export interface TestName {
  readonly file: string
  readonly name: string
}

/** The code has changed so that the substitution does not fit any more: the bug must be planted anew. */
export class StalePlantedBugError extends Error {
  readonly code = 'PLANTED_BUG_STALE'
}

/** @returns The file's text with the bug in it. @throws {StalePlantedBugError} */
export function plant({ id, file, find, replace }: PlantedBug, source: string): string {
  const count = source.split(find).length - 1
  if (count !== 1)
    throw new StalePlantedBugError(
      `Planted ${id} in ${file}: the text occurs ${count} times, wanted once:\n${find}`,
    )
  return source.replace(find, () => replace)
}

/**
 * Features of the cluster that all its members must understand before anyone uses them, with the levels that this
 * version of the code can run at. Kafka's `metadata.version` is `millrace.version` here: it says which records may
 * be in the metadata log. A level above `max` was written by a newer version and is refused on replay, since records
 * that are not understood cannot be skipped.
 */

export interface FeatureRange {
  readonly min: number
  readonly max: number
}

export const MILLRACE_VERSION = 'millrace.version'

/** Level 1: the records of the first release. */
export const FEATURES: ReadonlyMap<string, FeatureRange> = new Map([[MILLRACE_VERSION, { min: 1, max: 1 }]])

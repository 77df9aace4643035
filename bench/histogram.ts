/**
 * A histogram of durations whose relative error is bounded: log-linear buckets, as HDR histograms have.
 *
 * Values are whole nanoseconds from 0 to 2^43 (more than two hours). Below 512 every value has a bucket of its own;
 * above, each power of two is cut into 256 equal buckets, so that a percentile is off by less than 1/256 (0.4 %).
 * Recording is a few integer operations on a preallocated array and allocates nothing: it may stand in a hot loop.
 *
 * Invariant: `count` is the sum over all buckets. Merging is exact: it equals having recorded into one histogram.
 */

/** Buckets per power of two, as a power of two itself: the bound of the relative error. */
const PRECISION_BITS = 8
const BUCKETS_PER_DOUBLING = 2 ** PRECISION_BITS
/** Longest duration, as a power of two of nanoseconds; longer ones are counted as this long. */
const RANGE_BITS = 43
const BUCKET_COUNT = (RANGE_BITS - PRECISION_BITS + 1) * BUCKETS_PER_DOUBLING

/** What crosses processes and goes into result files: only buckets that are not empty. */
export interface HistogramData {
  readonly minNs: number
  readonly maxNs: number
  readonly sumNs: number
  /** Pairs of bucket index and count, flattened, indexes ascending. */
  readonly buckets: readonly number[]
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKET_COUNT)
  #count = 0
  #sumNs = 0
  #minNs = Infinity
  #maxNs = 0

  /** Number of recorded values. */
  get count(): number {
    return this.#count
  }

  /** Smallest recorded value, exact; 0 when there is none. */
  get minNs(): number {
    return this.#count === 0 ? 0 : this.#minNs
  }

  /** Largest recorded value, exact; 0 when there is none. */
  get maxNs(): number {
    return this.#maxNs
  }

  /** Mean of the recorded values, exact; 0 when there is none. */
  get meanNs(): number {
    return this.#count === 0 ? 0 : this.#sumNs / this.#count
  }

  /** @param valueNs - Duration in ns, 0 or more; fractions are rounded. */
  record(valueNs: number): void {
    const value = Math.min(Math.round(valueNs), 2 ** RANGE_BITS - 1)
    const index = bucketIndex(value)
    this.#counts[index]! += 1
    this.#count += 1
    this.#sumNs += value
    if (value < this.#minNs) this.#minNs = value
    if (value > this.#maxNs) this.#maxNs = value
  }

  /** Records a duration given in ms, as clocks give it. */
  recordMs(valueMs: number): void {
    this.record(valueMs * 1e6)
  }

  /** Adds all that `other` holds. */
  merge(other: Histogram): void {
    for (let index = 0; index < BUCKET_COUNT; index++) this.#counts[index]! += other.#counts[index]!
    this.#count += other.#count
    this.#sumNs += other.#sumNs
    this.#minNs = Math.min(this.#minNs, other.#minNs)
    this.#maxNs = Math.max(this.#maxNs, other.#maxNs)
  }

  /**
   * The value below or at which `percent` of the recorded values lie.
   *
   * @param percent - In (0, 100].
   * @returns Ns, at most 1/256 above the true one and never above the largest recorded; 0 when there is none.
   */
  percentile(percent: number): number {
    const rank = Math.max(1, Math.ceil((percent / 100) * this.#count))
    let seen = 0
    for (let index = 0; index < BUCKET_COUNT; index++) {
      seen += this.#counts[index]!
      if (seen >= rank) return Math.max(this.minNs, Math.min(bucketEnd(index) - 1, this.#maxNs))
    }
    return this.#maxNs
  }

  toData(): HistogramData {
    const buckets: number[] = []
    for (let index = 0; index < BUCKET_COUNT; index++) {
      const count = this.#counts[index]!
      if (count > 0) buckets.push(index, count)
    }
    return { minNs: this.minNs, maxNs: this.#maxNs, sumNs: this.#sumNs, buckets }
  }

  static fromData(data: HistogramData): Histogram {
    const histogram = new Histogram()
    for (let at = 0; at < data.buckets.length; at += 2) {
      const count = data.buckets[at + 1]!
      histogram.#counts[data.buckets[at]!] = count
      histogram.#count += count
    }
    histogram.#sumNs = data.sumNs
    histogram.#maxNs = data.maxNs
    if (histogram.#count > 0) histogram.#minNs = data.minNs
    return histogram
  }
}

/** Values above 32 bits go through division: shifts would cut them off. */
function bucketIndex(value: number): number {
  if (value < 2 * BUCKETS_PER_DOUBLING) return value
  const exponent =
    value < 2 ** 31 ? 31 - Math.clz32(value) : 31 + (31 - Math.clz32(Math.floor(value / 2 ** 31)))
  const shift = exponent - PRECISION_BITS
  return shift * BUCKETS_PER_DOUBLING + Math.floor(value / 2 ** shift)
}

/** First value past a bucket. */
function bucketEnd(index: number): number {
  if (index < 2 * BUCKETS_PER_DOUBLING) return index + 1
  const shift = Math.floor(index / BUCKETS_PER_DOUBLING) - 1
  return (index - shift * BUCKETS_PER_DOUBLING + 1) * 2 ** shift
}

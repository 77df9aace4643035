/**
 * Puts committed metadata into effect on this broker, one change after the other, and says how far it has come.
 *
 * Invariants:
 * - `image` is the last image that is in effect: whoever reads it finds every partition it names served here or
 *   marked as not servable.
 * - Deltas are applied in the order of the metadata log, each once.
 */
import { SerialQueue } from '../base/serial-queue.ts'
import { EMPTY_IMAGE } from '../metadata/cluster-image.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import type { ImageDelta } from '../metadata/image-delta.ts'

/** Deltas that may wait. Each came from a committed append, and those wait for the disk: a defect if ever reached. */
const DELTAS_WAITING_MAX = 100_000

export class MetadataFollower {
  #image: ClusterImage = EMPTY_IMAGE
  readonly #apply: (delta: ImageDelta) => Promise<void>
  readonly #applied: (delta: ImageDelta) => void
  readonly #queue = new SerialQueue(DELTAS_WAITING_MAX)
  #waiting: { readonly isReached: (image: ClusterImage) => boolean; readonly resolve: () => void }[] = []

  /**
   * @param apply - Puts one delta into effect; must not throw.
   * @param applied - Is told of it in the turn in which it is in effect; must not throw.
   */
  constructor(
    apply: (delta: ImageDelta) => Promise<void>,
    applied: (delta: ImageDelta) => void = () => undefined,
  ) {
    this.#apply = apply
    this.#applied = applied
  }

  get image(): ClusterImage {
    return this.#image
  }

  /** Takes the next change; resolves when it is in effect. */
  follow(delta: ImageDelta): Promise<void> {
    return this.#queue.run(async () => {
      await this.#apply(delta)
      this.#image = delta.after
      this.#applied(delta)
      const reached = this.#waiting.filter(({ isReached }) => isReached(delta.after))
      this.#waiting = this.#waiting.filter((each) => !reached.includes(each))
      for (const { resolve } of reached) resolve()
    })
  }

  /** Runs `task` between two changes; resolves when it is done. */
  between(task: (image: ClusterImage) => Promise<void>): Promise<void> {
    return this.#queue.run(() => task(this.#image))
  }

  /** Resolves when all metadata below `endOffset` is in effect here. */
  async inEffect(endOffset: number): Promise<void> {
    await this.until((image) => endOffset <= image.endOffset)
  }

  /** Resolves when metadata are in effect here of which `isReached` holds. */
  async until(isReached: (image: ClusterImage) => boolean): Promise<void> {
    if (isReached(this.#image)) return
    await new Promise<void>((resolve) => this.#waiting.push({ isReached, resolve }))
  }

  /** Resolves when everything taken so far is in effect. */
  async idle(): Promise<void> {
    await this.#queue.idle()
  }
}

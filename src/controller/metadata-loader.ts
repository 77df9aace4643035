/**
 * Follows the committed metadata log and folds it into the image that everything on this node reads. Control plane.
 *
 * Invariants:
 * - `image` is the fold of exactly the records below `image.endOffset`, all of them committed.
 * - Followers get every change once, in order, each delta beginning where the last one ended.
 */
import { assert } from '../base/assert.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import { EMPTY_IMAGE } from '../metadata/cluster-image.ts'
import { ImageBuilder } from '../metadata/image-builder.ts'
import { compareImages } from '../metadata/image-delta.ts'
import type { ImageDelta } from '../metadata/image-delta.ts'
import { decodeMetadataRecord } from '../metadata/records.ts'
import { decodeSnapshot, encodeSnapshot } from '../metadata/snapshot.ts'
import type { CommittedBatch, QuorumError, QuorumListener, QuorumSnapshot } from '../raft/metadata-quorum.ts'

export class MetadataLoader implements QuorumListener {
  #image: ClusterImage = EMPTY_IMAGE
  readonly #followers: ((delta: ImageDelta) => void)[] = []
  /** Called after the image moved; set by the controller. */
  onImage: (image: ClusterImage) => void = () => undefined
  onRolledBack: (fromOffset: number) => void = () => undefined
  onFailed: (error: QuorumError) => void = () => undefined

  /** The newest committed image. */
  get image(): ClusterImage {
    return this.#image
  }

  /** Calls `follower` with all there is now, as one delta from the empty image, and then with every change. */
  follow(follower: (delta: ImageDelta) => void): void {
    this.#followers.push(follower)
    if (this.#image !== EMPTY_IMAGE) follower(compareImages(EMPTY_IMAGE, this.#image))
  }

  onSnapshot(snapshot: QuorumSnapshot): void {
    const before = this.#image
    assert(snapshot.endOffset >= before.endOffset, 'A snapshot never takes the image back')
    const image = decodeSnapshot(snapshot.records, snapshot.endOffset, snapshot.epoch)
    this.#publish(image, () => compareImages(before, image))
  }

  onCommit(batch: CommittedBatch): void {
    assert(
      batch.baseOffset === this.#image.endOffset,
      `Metadata must go on at ${this.#image.endOffset}, not ${batch.baseOffset}`,
    )
    const builder = new ImageBuilder(this.#image)
    for (const bytes of batch.records) builder.replay(decodeMetadataRecord(bytes))
    const { image, delta } = builder.finish(batch.endOffset, batch.epoch)
    this.#publish(image, () => delta)
  }

  takeSnapshot(): QuorumSnapshot {
    const image = this.#image
    return { endOffset: image.endOffset, epoch: image.epoch, records: encodeSnapshot(image) }
  }

  #publish(image: ClusterImage, delta: () => ImageDelta): void {
    this.#image = image
    this.onImage(image)
    if (this.#followers.length === 0) return
    const change = delta()
    for (const follower of this.#followers) follower(change)
  }
}

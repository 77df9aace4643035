import { describe, expect, it } from 'vitest'
import { MetadataFollower } from '../../src/broker/metadata-follower.ts'
import { EMPTY_IMAGE } from '../../src/metadata/cluster-image.ts'
import { compareImages } from '../../src/metadata/image-delta.ts'
import type { ImageDelta } from '../../src/metadata/image-delta.ts'

function deltaTo(endOffset: number): ImageDelta {
  return compareImages(EMPTY_IMAGE, { ...EMPTY_IMAGE, endOffset })
}

/** A follower whose deltas take effect when the test says so. */
function open() {
  const started: number[] = []
  const finish: (() => void)[] = []
  const follower = new MetadataFollower(async (delta) => {
    started.push(delta.after.endOffset)
    await new Promise<void>((resolve) => finish.push(resolve))
  })
  return { follower, started, finish }
}

const settled = async (promise: Promise<unknown>): Promise<boolean> => {
  let isSettled = false
  void promise.then(() => (isSettled = true))
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  return isSettled
}

describe('MetadataFollower', () => {
  it('puts changes into effect one after the other, and shows an image only when it is in effect', async () => {
    const { follower, started, finish } = open()
    const first = follower.follow(deltaTo(5))
    const second = follower.follow(deltaTo(9))
    expect(await settled(first)).toBe(false)
    expect([started, follower.image.endOffset]).toEqual([[5], EMPTY_IMAGE.endOffset])
    finish[0]!()
    await first
    expect(follower.image.endOffset).toBe(5)
    expect(await settled(second)).toBe(false)
    finish[1]!()
    await second
    expect(follower.image.endOffset).toBe(9)
  })

  it('tells those who wait for an offset when it is reached or passed, and not before', async () => {
    const { follower, finish } = open()
    void follower.follow(deltaTo(5))
    const waits = [0, 5, 6].map((offset) => follower.inEffect(offset))
    expect(await Promise.all(waits.map(settled))).toEqual([true, false, false])
    finish[0]!()
    expect(await Promise.all(waits.map(settled))).toEqual([true, true, false])
    void follower.follow(deltaTo(7))
    await settled(Promise.resolve())
    finish[1]!()
    await waits[2]
  })

  it('runs what is to come between two changes there', async () => {
    const { follower, started, finish } = open()
    void follower.follow(deltaTo(5))
    const seen: number[] = []
    const between = follower.between((image) => Promise.resolve(void seen.push(image.endOffset)))
    void follower.follow(deltaTo(9))
    expect(await settled(between)).toBe(false)
    finish[0]!()
    await between
    expect(seen).toEqual([5])
    await settled(Promise.resolve())
    expect(started).toEqual([5, 9])
    finish[1]!()
    await follower.idle()
    expect(follower.image.endOffset).toBe(9)
  })
})

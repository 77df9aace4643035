import { describe, expect, it } from 'vitest'
import { profileFlags, selfTimes } from '../../bench/profile/profile.ts'

const frame = (functionName: string, lineNumber = 0, url = '') => ({
  functionName,
  url,
  lineNumber,
  columnNumber: 0,
})

describe('selfTimes()', () => {
  it('adds up samples by function, wherever it was called from, and leaves idle time out', () => {
    const profile = {
      nodes: [
        { id: 1, callFrame: frame('(idle)') },
        { id: 2, callFrame: frame('hot', 9, 'node:fs') },
        { id: 3, callFrame: frame('cold', 9, 'node:fs') },
        { id: 4, callFrame: frame('hot', 9, 'node:fs') },
        { id: 5, callFrame: frame('', 0, 'node:fs') },
      ],
      samples: [1, 2, 3, 4, 5],
      timeDeltas: [9000, 1000, 1500, 1000, 250],
    }

    expect(selfTimes(profile)).toEqual([
      { name: 'hot', place: 'node:fs', selfMs: 2 },
      { name: 'cold', place: 'node:fs', selfMs: 1.5 },
      { name: '(anonymous)', place: 'node:fs', selfMs: 0.25 },
    ])
  })
})

describe('profileFlags()', () => {
  it('gives no two processes of a run the same file, and none without a directory', () => {
    expect(profileFlags(null, 'broker')).toEqual([])
    expect(profileFlags('/d', 'broker')).not.toEqual(profileFlags('/d', 'broker'))
  })
})

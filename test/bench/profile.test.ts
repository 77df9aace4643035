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
        { id: 2, callFrame: frame('hot', 9, 'file:///a.js') },
        { id: 3, callFrame: frame('cold', 19, 'file:///a.js') },
        { id: 4, callFrame: frame('hot', 9, 'file:///a.js') },
        { id: 5, callFrame: frame('(garbage collector)') },
      ],
      samples: [1, 2, 3, 4, 5],
      timeDeltas: [9000, 1000, 1500, 1000, 250],
    }

    const costs = selfTimes(profile)

    expect(costs.map(({ name, selfMs }) => [name, selfMs])).toEqual([
      ['hot', 2],
      ['cold', 1.5],
      ['(garbage collector)', 0.25],
    ])
    expect(costs.map(({ place }) => place.slice(place.lastIndexOf('/') + 1))).toEqual([
      'a.js:10',
      'a.js:20',
      '',
    ])
  })

  it('tells native functions apart by who of ours called them', () => {
    const profile = {
      nodes: [
        { id: 1, callFrame: frame('toFile', 1, 'file:///a.js'), children: [2] },
        { id: 2, callFrame: frame('writevSync', 5, 'node:fs'), children: [3] },
        { id: 3, callFrame: frame('writev') },
        { id: 4, callFrame: frame('toSocket', 2, 'file:///a.js'), children: [5] },
        { id: 5, callFrame: frame('writev') },
      ],
      samples: [3, 5, 5],
      timeDeltas: [3000, 1000, 1000],
    }

    const costs = selfTimes(profile)

    expect(costs.map(({ name, place, selfMs }) => [name, place.replace(/ .*\//, ' '), selfMs])).toEqual([
      ['writev', 'from a.js:2', 3],
      ['writev', 'from a.js:3', 2],
    ])
  })
})

describe('profileFlags()', () => {
  it('gives no two processes of a run the same file, and none without a directory', () => {
    expect(profileFlags(null, 'broker')).toEqual([])
    expect(profileFlags('/d', 'broker')).not.toEqual(profileFlags('/d', 'broker'))
  })
})

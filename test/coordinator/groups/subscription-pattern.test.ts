/** Regular expressions of subscriptions: what matches, what is refused, and that nobody can buy much time with one (S5). */
import { describe, expect, it } from 'vitest'
import {
  PATTERN_LENGTH_MAX,
  PATTERN_PROGRAM_SIZE_MAX,
  SubscriptionPattern,
} from '../../../src/coordinator/groups/subscription-pattern.ts'
import { Prng } from '../../../src/env/sim/prng.ts'
import { seedFromEnv } from '../../support/seed.ts'

const seed = seedFromEnv('subscription pattern')

function compile(text: string): SubscriptionPattern {
  const pattern = SubscriptionPattern.compile(text)
  if (typeof pattern === 'string') throw new Error(pattern)
  return pattern
}

describe('SubscriptionPattern.matches()', () => {
  it.each([
    ['orders-.*', 'orders-eu', true],
    ['orders-.*', 'all-orders-eu', false],
    ['orders', 'orders-eu', false],
    ['orders|payments', 'payments', true],
    ['a|ab', 'ab', true],
    ['(?i)ORDERS', 'orders', true],
    ['', 'orders', false],
    ['^o\\w+s$', 'orders', true],
  ])('looks at the whole name: %s and %s', (text, name, expected) => {
    expect(compile(text).matches(name)).toBe(expected)
  })
})

describe('SubscriptionPattern.compile()', () => {
  it.each([['('], ['a**'], ['(?=a)'], ['\\1'], ['[z-a]'], ['a{2000}'], ['(?<n'], ['\\']])(
    'says what is wrong with %s',
    (text) => {
      expect(SubscriptionPattern.compile(text)).toMatch(/^Subscribed with a regular expression: ./)
    },
  )

  it('refuses what is too long, or becomes too large', () => {
    expect(SubscriptionPattern.compile('a'.repeat(PATTERN_LENGTH_MAX + 1))).toContain(
      `at most ${PATTERN_LENGTH_MAX}`,
    )
    expect(SubscriptionPattern.compile('(a{0,30}){0,33}')).toContain(`at most ${PATTERN_PROGRAM_SIZE_MAX} `)
    expect(typeof SubscriptionPattern.compile('a'.repeat(PATTERN_LENGTH_MAX))).toBe('object')
  })

  it('takes any text without a crash', () => {
    const prng = new Prng(seed, 'texts')
    const pieces = [
      '(',
      ')',
      '[',
      ']',
      '{2}',
      '{1,}',
      '*',
      '+',
      '?',
      '|',
      '\\',
      '^',
      '$',
      '.',
      'a',
      '\\pL',
      '(?i)',
      '\u{1f600}',
      '-',
    ]
    for (let round = 0; round < 2000; round++) {
      const text = Array.from({ length: prng.below(20) }, () => pieces[prng.below(pieces.length)]!).join('')
      const pattern = SubscriptionPattern.compile(text)
      if (typeof pattern !== 'string') pattern.matches('a-topic.of_ordinary-name')
    }
  })

  it.each([
    ['(a+)+$'],
    ['(a|aa)*c'],
    ['(((a*)*)*)*'.repeat(40)],
    ['.*a.{100}'],
    ['(a|b)*a(a|b){50}(a|b)*b'],
    ['((a|b)*a(a|b){30}){9}'],
    ['(.{0,10}a){20}b'],
  ])('makes of %s nothing that costs more than a moment a name', (text) => {
    const prng = new Prng(seed, 'names')
    const names = Array.from({ length: 10 }, () =>
      Array.from({ length: 249 }, () => 'ab'[prng.below(2)]).join(''),
    )

    // The test's time limit is the check: backtracking takes longer than the universe has, this some tens of ms.
    const pattern = compile(text)
    expect(names.filter((name) => pattern.matches(name)).length).toBeLessThanOrEqual(names.length)
  })
})

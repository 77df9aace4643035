/** The seed of random tests: from the environment variable SEED, a whole number, or a fixed one; printed either way. */
export function seedFromEnv(test: string): number {
  const seed = Number(process.env['SEED'] ?? '20260407')
  if (!Number.isInteger(seed)) throw new Error(`SEED must be a whole number: ${String(process.env['SEED'])}`)
  console.log(`${test}: SEED=${seed}`)
  return seed
}

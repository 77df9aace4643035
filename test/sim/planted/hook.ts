/** Loads one module of the product with a planted bug in it. Runs in the thread of Node's module hooks (planted-life.ts). */
import type { LoadHook } from 'node:module'

export interface PlantedModule {
  readonly url: string
  /** JavaScript. */
  readonly source: string
}

let planted: PlantedModule | null = null

export function initialize(data: PlantedModule): void {
  planted = data
}

export const load: LoadHook = async (url, context, nextLoad) =>
  url === planted?.url
    ? { format: 'module', shortCircuit: true, source: planted.source }
    : nextLoad(url, context)

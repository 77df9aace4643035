/** Work on many logs at a time: enough to keep a disk busy, few enough for its queue. Control plane. */
const PARALLEL_MAX = 16

/** Rejects with the first rejection of `work`; what others had begun goes on. */
export async function forEachInParallel<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < items.length) await work(items[next++]!)
  }
  await Promise.all(Array.from({ length: PARALLEL_MAX }, worker))
}

/** Removes a directory and all that is in it; a missing one is no error. A crash in between leaves a smaller one. */
import type { FileSystem } from '../env/index.ts'

export async function removeTree(files: FileSystem, directory: string): Promise<void> {
  if ((await files.stat(directory)) === null) return
  for (const name of await files.list(directory)) {
    const path = `${directory}/${name}`
    const stat = await files.stat(path)
    if (stat?.kind === 'directory') await removeTree(files, path)
    else await files.remove(path)
  }
  await files.remove(directory)
}
